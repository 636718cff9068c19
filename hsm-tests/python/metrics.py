"""Reads the metrics with the parser that Prometheus' own Python client has: what it accepts is OpenMetrics."""

import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families

samples = []
for family in text_string_to_metric_families(sys.stdin.read()):
    assert family.name.startswith("chancery_"), family
    assert family.documentation, family
    assert family.type in {"counter", "gauge", "histogram", "info"}, family
    for sample in family.samples:
        samples.append({"name": sample.name, "labels": sample.labels, "value": sample.value})
json.dump(samples, sys.stdout)
