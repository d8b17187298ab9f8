"""Real clients, each pushing to Kymo what tests/it/pushes.rs then asks for: push_clients.py NAME URL [PORT]."""

import sys
import time


def pushgateway(url):
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
    from prometheus_client import delete_from_gateway, push_to_gateway, pushadd_to_gateway

    def registry(name, value):
        registry = CollectorRegistry()
        Gauge(name, "A gauge.", ["kind"], registry=registry).labels("a").set(value)
        return registry

    full = registry("batch_gauge", 1)
    Counter("batch_runs", "Runs.", registry=full).inc(3)
    Histogram("batch_seconds", "How long.", buckets=[1, 5], registry=full).observe(2)
    push_to_gateway(url, job="batch/night", grouping_key={"shard": "1"}, registry=full)
    pushadd_to_gateway(url, job="batch/night", grouping_key={"shard": "1"}, registry=registry("added_gauge", 2))
    push_to_gateway(url, job="replaced", registry=registry("first_gauge", 1))
    push_to_gateway(url, job="replaced", registry=registry("second_gauge", 2))
    push_to_gateway(url, job="gone", registry=registry("gone_gauge", 1))
    delete_from_gateway(url, job="gone")


def influx(url):
    from influxdb_client import InfluxDBClient, Point, WritePrecision
    from influxdb_client.client.write_api import SYNCHRONOUS
    from influxdb_client.rest import ApiException

    with InfluxDBClient(url=url, token="any", org="o", enable_gzip=True) as client:
        assert client.ping()
        assert client.health().status == "pass"
        write = client.write_api(write_options=SYNCHRONOUS)
        point = Point("client weather").tag("city", "São Paulo, SP").field("temperature", 21.5)
        write.write(bucket="lab", record=point.field("humidity", 80).field("sky", "clear").field("raining", False))
        now = int(time.time())
        write.write(bucket="lab", record=f"client_line,a=b v=1u {now}", write_precision=WritePrecision.S)
        try:
            write.write(bucket="lab", record=f"sound v=1 {now}\nunsound\nsound,x=y v=2 {now}", write_precision=WritePrecision.S)
            raise SystemExit("a bad line was not told")
        except ApiException as error:
            assert error.status == 400 and "line 2" in str(error.body), error


def statsd(url, port):
    from statsd import StatsClient, TCPStatsClient

    client = StatsClient("127.0.0.1", port, prefix="shop")
    client.incr("orders", 3)
    client.gauge("queue", 7)
    client.gauge("queue", -2, delta=True)
    client.timing("checkout", 250)
    # Those of one interval are counted, and between two lines an interval may end: seldom often.
    for _ in range(5):
        with client.pipeline() as pipe:
            pipe.set("users", "ann")
            pipe.set("users", "bob")
        time.sleep(0.05)
    tcp = TCPStatsClient("127.0.0.1", port)
    tcp.incr("by_tcp")
    tcp.close()


def dogstatsd(url, port):
    from datadog.dogstatsd import DogStatsd

    client = DogStatsd(host="127.0.0.1", port=port, constant_tags=["env:test"], disable_telemetry=True)
    client.increment("dog.orders", 2, tags=["shop:oslo", "paid"])
    client.gauge("dog.queue", 4)
    client.histogram("dog.size", 10)
    client.distribution("dog.size2", 20)
    client.event("title", "text")
    client.service_check("check", 0)
    client.flush()
    client.close_socket()


def datadog(url):
    from datadog import api, initialize

    initialize(api_key="any", app_key="any", api_host=url + "/datadog", hostname_from_config=False, mute=False)
    now = time.time()
    answer = api.Metric.send(metric="dd.load", points=[(now - 10, 1), (now, 2)], host="web01", tags=["env:test", "up"], type="gauge")
    assert answer["status"] == "ok", answer
    answer = api.Metric.send([{"metric": "dd.hits", "points": 5, "type": "count", "host": "web01"}])
    assert answer["status"] == "ok", answer


name, arguments = sys.argv[1], sys.argv[2:]
{"pushgateway": pushgateway, "influx": influx, "statsd": statsd, "dogstatsd": dogstatsd, "datadog": datadog}[name](
    *[int(argument) if argument.isdigit() else argument for argument in arguments]
)
