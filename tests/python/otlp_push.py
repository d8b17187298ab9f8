"""Measures a few things with OpenTelemetry's SDK and exports them twice.

Usage: otlp_push.py http|grpc ENDPOINT cumulative|delta
"""

import sys
import time

from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider, UpDownCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import (
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    View,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

protocol, endpoint, temporality = sys.argv[1:]
temporality = AggregationTemporality[temporality.upper()]
options = {
    "endpoint": endpoint,
    "preferred_temporality": {Counter: temporality, Histogram: temporality, UpDownCounter: temporality},
}
if protocol == "grpc":
    from grpc import Compression
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter

    options |= {"insecure": True, "compression": Compression.Gzip}
else:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    options["compression"] = Compression.Gzip

provider = MeterProvider(
    resource=Resource.create(
        {"service.name": "shop", "service.namespace": "eu", "service.instance.id": "one", "host.name": "h1"}
    ),
    metric_readers=[
        PeriodicExportingMetricReader(OTLPMetricExporter(**options), export_interval_millis=3_600_000)
    ],
    views=[
        View(instrument_name="latency", aggregation=ExplicitBucketHistogramAggregation([0.1, 0.5, 1])),
        View(instrument_name="size", aggregation=ExponentialBucketHistogramAggregation()),
    ],
)
meter = provider.get_meter("tests")
requests = meter.create_counter("http.requests", unit="{request}", description="Requests that came.")
queue = meter.create_up_down_counter("queue.length")
room = meter.create_gauge("room.temperature", unit="Cel")
latency = meter.create_histogram("latency", unit="s")
size = meter.create_histogram("size", unit="By")
span = SpanContext(0x5B8EFFF798038103D269B633813FC60C, 0xEEE19B7EC3C1B174, False, TraceFlags(TraceFlags.SAMPLED))
traced = set_span_in_context(NonRecordingSpan(span))

for added in (5, 7):
    requests.add(added, {"http.route": "/a"}, context=traced)
    queue.add(added - 6)
    room.set(20 + added)
    latency.record(0.25, context=traced)
    latency.record(added)
    size.record(added * 100)
    # What a delta covers must be longer than a millisecond.
    time.sleep(0.02)
    if not provider.force_flush():
        sys.exit("not exported")
provider.shutdown()
