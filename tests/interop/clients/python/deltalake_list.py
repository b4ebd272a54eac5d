"""Looks for a Delta table in a bucket until standard input ends: object_store, which knows no profiles."""

import os
import select
import sys

from deltalake import DeltaTable

bucket, pause = sys.argv[1], float(sys.argv[2])
options = {"AWS_ENDPOINT_URL": os.environ["AWS_ENDPOINT_URL"], "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-west-2"}
while not select.select([sys.stdin], [], [], pause)[0]:
    try:
        DeltaTable.is_deltatable(f"s3://{bucket}/table", storage_options=options)
        print("ok", flush=True)
    except Exception as error:  # noqa: BLE001
        print(f"error {error!r}", flush=True)
