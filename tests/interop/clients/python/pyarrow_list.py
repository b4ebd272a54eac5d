"""Lists a bucket with one pyarrow file system until standard input ends."""

import os
import select
import sys

from pyarrow import fs

bucket, pause = sys.argv[1], float(sys.argv[2])
host = os.environ["AWS_ENDPOINT_URL"].removeprefix("http://")
files = fs.S3FileSystem(endpoint_override=host, scheme="http", region="us-west-2")
while not select.select([sys.stdin], [], [], pause)[0]:
    try:
        files.get_file_info(fs.FileSelector(bucket))
        print("ok", flush=True)
    except OSError as error:
        print(f"error {error!r}", flush=True)
