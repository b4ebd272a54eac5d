"""Scans an object with polars until standard input ends. Without the provider it takes keys from ~/.aws/credentials."""

import os
import select
import sys

import polars

bucket, pause = sys.argv[1], float(sys.argv[2])
options = {"aws_endpoint_url": os.environ["AWS_ENDPOINT_URL"], "aws_allow_http": "true", "aws_region": "us-west-2"}
provider = polars.CredentialProviderAWS(profile_name=os.environ.get("AWS_PROFILE"))
where = f"s3://{bucket}/reports/2026/hello.txt"
while not select.select([sys.stdin], [], [], pause)[0]:
    try:
        polars.scan_csv(where, has_header=False, storage_options=options, credential_provider=provider).collect()
        print("ok", flush=True)
    except Exception as error:  # noqa: BLE001
        print(f"error {error!r}", flush=True)
