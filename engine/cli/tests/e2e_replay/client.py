"""A plain client of the venue: subscribes streams and prints the first frames, one a line."""

import asyncio
import json
import sys

import websockets


async def main(url, count, streams):
    async with websockets.connect(url + "/stream", max_size=None) as socket:
        await socket.send(json.dumps({"method": "SUBSCRIBE", "params": streams, "id": 1}))
        answer = json.loads(await socket.recv())
        if answer != {"result": None, "id": 1}:
            sys.exit(f"not an acknowledgement: {answer}")
        for _ in range(count):
            frame = json.loads(await socket.recv())
            if frame["stream"] not in streams:
                sys.exit(f"not subscribed: {frame}")
            print(json.dumps(frame["data"]))


asyncio.run(asyncio.wait_for(main(sys.argv[1], int(sys.argv[2]), sys.argv[3:]), 60))
