"""Lists a bucket with one s3fs file system until standard input ends."""

import select
import sys

import s3fs

bucket, pause = sys.argv[1], float(sys.argv[2])
files = s3fs.S3FileSystem(use_listings_cache=False)
while not select.select([sys.stdin], [], [], pause)[0]:
    try:
        files.ls(bucket, refresh=True)
        print("ok", flush=True)
    except Exception as error:  # noqa: BLE001
        print(f"error {error!r}", flush=True)
