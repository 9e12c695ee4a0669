"""Sends events, lines of a log, spans and metrics with the published exporters of OpenTelemetry."""

import os
import time

from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExportResult
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

BOX, COUNT = os.environ["BOX"], int(os.environ["COUNT"])
TO = {"headers": {"Authorization": "Bearer " + os.environ["KEY"]}, "compression": Compression.Gzip}
results = []


def watched(exporter, good):
    """Notes what came of each export, which is only written to a log otherwise."""
    send = exporter.export

    def export(*args, **kwargs):
        result = send(*args, **kwargs)
        results.append(result is good)
        return result

    exporter.export = export
    return exporter


resource = Resource.create(
    {
        "service.name": "shop",
        "service.version": "2.1.0",
        "app.installation.id": "install-7",
        "os.name": "iOS",
        "os.version": "19.1",
        "device.model.identifier": "iPhone18,2",
    }
)

logs = LoggerProvider(resource=resource, shutdown_on_exit=False)
exporter = watched(OTLPLogExporter(endpoint=BOX + "/v1/logs", **TO), LogRecordExportResult.SUCCESS)
logs.add_log_record_processor(BatchLogRecordProcessor(exporter, schedule_delay_millis=100_000, max_queue_size=100_000))
logger = logs.get_logger("checkout", "1.0.0")
logger.emit(severity_number=SeverityNumber.WARN, severity_text="WARN", body="the cart is empty")
try:
    {}["x"]
except KeyError as error:
    logger.emit(event_name="failed", severity_number=SeverityNumber.ERROR, exception=error)
for number in range(COUNT):
    logger.emit(
        timestamp=time.time_ns(),
        event_name="checked_out",
        body={"note": "naïve", "number": -1},
        attributes={
            "number": number,
            "user.id": "zoë",
            "session.id": f"session-{number % 7}",
            "text": 'größe 🦀 \0"\\',
            "whole": 1.0,
            "part": 0.5,
            "list": ["a", 2, None],
            "nested": {"deep": {"deeper": [{"yes": True}]}},
            "bytes": b"\x01\x02\xff",
        },
    )
logs.force_flush()
logs.shutdown()

spans = TracerProvider(resource=resource, shutdown_on_exit=False)
spans.add_span_processor(
    BatchSpanProcessor(watched(OTLPSpanExporter(endpoint=BOX + "/v1/traces", **TO), SpanExportResult.SUCCESS))
)
with spans.get_tracer("checkout").start_as_current_span("load") as span:
    span.record_exception(ValueError("no such cart"))
spans.shutdown()

reader = PeriodicExportingMetricReader(
    watched(OTLPMetricExporter(endpoint=BOX + "/v1/metrics", **TO), MetricExportResult.SUCCESS),
    export_interval_millis=100_000,
)
metrics = MeterProvider(resource=resource, metric_readers=[reader], shutdown_on_exit=False)
metrics.get_meter("checkout").create_counter("carts").add(3)
metrics.shutdown()
assert len(results) >= 3 and all(results), results
print(len(results))
