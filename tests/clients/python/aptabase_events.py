"""Aptabase's Python SDK: COUNT events in batches of 25."""

import asyncio
import os

from aptabase import Aptabase


async def main() -> None:
    client = Aptabase(os.environ["KEY"], base_url=os.environ["BOX"], app_version="2.0.1")
    async with client:
        for n in range(int(os.environ["COUNT"])):
            await client.track(
                f"event {n % 10}",
                {"n": n, "text": "Příliš žluťoučký 🐎", "nested": {"list": [1, None, {"deep": "ü"}], "no": False}},
            )
    # What could not be sent is kept to be sent again.
    assert not client._event_queue, f"{len(client._event_queue)} events were not taken"


asyncio.run(main())
