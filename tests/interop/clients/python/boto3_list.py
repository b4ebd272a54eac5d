"""Lists a bucket with one boto3 client until standard input ends: list.py BUCKET SECONDS_BETWEEN."""

import select
import sys

import boto3

bucket, pause = sys.argv[1], float(sys.argv[2])
client = boto3.client("s3")
while not select.select([sys.stdin], [], [], pause)[0]:
    try:
        client.list_objects_v2(Bucket=bucket)
        print("ok", flush=True)
    except Exception as error:  # noqa: BLE001
        print(f"error {error!r}", flush=True)
