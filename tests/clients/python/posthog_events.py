"""PostHog's Python SDK: COUNT events, and what it says of people, groups, flags and exceptions beside."""

import os
from datetime import datetime, timezone

from posthog import Posthog

failures = []
client = Posthog(
    os.environ["KEY"],
    host=os.environ["BOX"],
    gzip="GZIP" in os.environ,
    on_error=lambda failure, batch: failures.append(failure),
)
for n in range(int(os.environ["COUNT"])):
    client.capture(
        f"event {n % 7}",
        distinct_id=f"user {n % 10}",
        properties={
            "n": n,
            "text": "Příliš žluťoučký 🐎",
            "nested": {"list": [1, None, {"deep": "ü"}], "no": False},
        },
        timestamp=datetime.now(timezone.utc),
    )
client.capture("of nobody")
client.set(distinct_id="ada", properties={"email": "ada@example.org", "name": "Ada"})
client.set_once(distinct_id="ada", properties={"name": "Ada the first"})
client.alias(previous_id="ada of old", distinct_id="ada")
client.group_identify("company", "acme", {"size": 3})
try:
    raise TypeError('it is "null" 7 times')
except TypeError as error:
    client.capture_exception(error, distinct_id="ada", properties={"n": -1})
flags = client.get_all_flags("ada")
client.shutdown()
assert not flags, flags
assert not failures, failures
