// Sends events and lines of a log with the published exporters of OpenTelemetry: `FORM` says which of the two.
import { SeverityNumber } from '@opentelemetry/api';
import { OTLPLogExporter as Json } from '@opentelemetry/exporter-logs-otlp-http';
import { OTLPLogExporter as Protobuf } from '@opentelemetry/exporter-logs-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs';

const { BOX, KEY, FORM, COUNT } = process.env;
const Exporter = FORM === 'protobuf' ? Protobuf : Json;
const exporter = new Exporter({
  url: `${BOX}/v1/logs`,
  headers: { authorization: `Bearer ${KEY}` },
  compression: FORM === 'protobuf' ? 'gzip' : 'none',
});
// What the processor would only write down for whoever asks.
const results = [];
const send = exporter.export.bind(exporter);
exporter.export = (records, told) => send(records, (result) => { results.push(result); told(result); });

const provider = new LoggerProvider({
  resource: resourceFromAttributes({
    'service.name': 'shop', 'service.version': '2.1.0', 'app.installation.id': 'install-7', 'os.name': 'iOS',
    'os.version': '19.1', 'device.model.identifier': 'iPhone18,2',
    'telemetry.sdk.name': 'opentelemetry', 'telemetry.sdk.language': 'nodejs', 'telemetry.sdk.version': '3.1.0',
  }),
  processors: [new BatchLogRecordProcessor({ exporter, maxQueueSize: 100_000, scheduledDelayMillis: 100_000 })],
});
const logger = provider.getLogger('checkout', '1.0.0');
const attributes = (number) => ({
  number, 'user.id': 'zoë', 'session.id': `session-${number % 7}`, text: 'größe 🦀 \u0000"\\', whole: 1.0, part: 0.5,
  list: ['a', 2, null], nested: { deep: { deeper: [{ yes: true }] } }, nothing: null,
});
const line = { severityNumber: SeverityNumber.WARN, severityText: 'WARN', body: 'the cart is empty' };
const error = { 'exception.type': 'TypeError', 'exception.message': 'x is 12', 'exception.stacktrace': 'TypeError: x\n at y' };
logger.emit(line);
logger.emit({ eventName: 'failed', severityNumber: SeverityNumber.ERROR, attributes: error });
for (let number = 0; number < Number(COUNT); number++) {
  logger.emit({ eventName: 'checked_out', body: { note: 'naïve', number: -1 }, attributes: attributes(number) });
}
await provider.forceFlush();
await provider.shutdown();
const failed = results.filter((result) => result.code !== 0);
if (failed.length > 0 || results.length === 0) throw failed[0]?.error ?? new Error('nothing was sent');
