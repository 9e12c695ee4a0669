"""A collector of OTLP metrics: reads each request as strictly as the published protocol has it, and tells what it holds."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as service


class Collector(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        told = {"path": self.path, "headers": {name.lower(): value for name, value in self.headers.items()}}
        status = 200
        try:
            request = json_format.Parse(body, service.ExportMetricsServiceRequest())
            told["resource"], told["metrics"] = read(request)
        except Exception as error:
            told["error"], status = str(error), 400
        answer = json_format.MessageToJson(service.ExportMetricsServiceResponse()).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        print(json.dumps(told), flush=True)

    def log_message(self, *_):
        pass


def read(request):
    (resource,) = request.resource_metrics
    (scope,) = resource.scope_metrics
    attributes = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
    return attributes, [metric(one) for one in scope.metrics]


def metric(one):
    kind = one.WhichOneof("data")
    data = getattr(one, kind)
    if kind != "gauge":
        # Cumulative.
        assert data.aggregation_temporality == 2, one.name
    assert kind != "sum" or data.is_monotonic, one.name
    return {"name": one.name, "kind": kind, "points": [point(kind, each) for each in data.data_points]}


def point(kind, each):
    labels = {pair.key: pair.value.string_value for pair in each.attributes}
    assert each.time_unix_nano > 0 and (kind == "gauge" or each.start_time_unix_nano > 0)
    if kind == "histogram":
        assert len(each.bucket_counts) == len(each.explicit_bounds) + 1
        assert sum(each.bucket_counts) == each.count
        return [labels, each.count]
    return [labels, getattr(each, each.WhichOneof("value"))]


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Collector)
print(json.dumps({"port": server.server_address[1]}), flush=True)
server.serve_forever()
