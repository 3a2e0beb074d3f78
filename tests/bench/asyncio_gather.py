"""asyncio.gather of N sleep(0) in this process; prints the seconds.   asyncio_gather.py N"""

import asyncio
import sys
import time


async def main(n):
    start = time.perf_counter()
    results = await asyncio.gather(*(asyncio.sleep(0, i) for i in range(n)))
    print(f"{time.perf_counter() - start:.6f}")
    assert results == list(range(n))


asyncio.run(main(int(sys.argv[1])))
