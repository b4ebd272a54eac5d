"""Uses the endpoint with one long-lived object of a library until standard input ends: use.py LIBRARY BUCKET PAUSE."""

import os
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

library, bucket, pause = sys.argv[1], sys.argv[2], float(sys.argv[3])
URL = os.environ["AWS_ENDPOINT_URL"]
REGION = "us-west-2"
KEY = "reports/2026/hello.txt"
Use = Callable[[], Any]


def smart_open() -> Use:
    import smart_open

    return lambda: smart_open.open(f"s3://{bucket}/{KEY}").read()


def aiobotocore() -> Use:
    import asyncio

    from aiobotocore.session import get_session

    runner = asyncio.Runner()
    client = runner.run(get_session().create_client("s3", region_name=REGION).__aenter__())
    return lambda: runner.run(client.list_objects_v2(Bucket=bucket))


def awswrangler() -> Use:
    import awswrangler

    return lambda: awswrangler.s3.list_objects(f"s3://{bucket}/")


def mlflow() -> Use:
    from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository

    os.environ["MLFLOW_S3_ENDPOINT_URL"] = URL
    artifacts = S3ArtifactRepository(f"s3://{bucket}/reports")
    return artifacts.list_artifacts


def pyiceberg() -> Use:
    from pyiceberg.io.pyarrow import PyArrowFileIO

    files = PyArrowFileIO({"s3.endpoint": URL, "s3.region": REGION})
    return lambda: files.new_input(f"s3://{bucket}/{KEY}").open().read()


def daft() -> Use:
    import daft

    s3 = daft.io.S3Config(endpoint_url=URL, region_name=REGION, use_ssl=False)
    return lambda: daft.from_glob_path(f"s3://{bucket}/reports/**", io_config=daft.io.IOConfig(s3=s3)).collect()


def lance() -> Use:
    import lance

    options = {"aws_endpoint": URL, "aws_region": REGION, "allow_http": "true"}

    def look() -> None:
        try:
            lance.dataset(f"s3://{bucket}/table.lance", storage_options=options)
        except (ValueError, OSError) as error:
            if "not found" not in str(error):
                raise

    return look


def minio() -> Use:
    from minio import Minio
    from minio.credentials import IamAwsProvider

    server = URL.removeprefix("http://")
    client = Minio(endpoint=server, credentials=IamAwsProvider(), secure=False, region=REGION)
    return lambda: list(client.list_objects(bucket_name=bucket))


def awscrt() -> Use:
    """S3 by hand: CRT's own default chain signs, which S3 clients on it use (s3torchconnector, Mountpoint)."""
    import http.client

    from awscrt import auth, io
    from awscrt import http as crt_http

    bootstrap = io.ClientBootstrap(io.EventLoopGroup(1), io.DefaultHostResolver(io.EventLoopGroup(1)))
    provider = auth.AwsCredentialsProvider.new_default_chain(bootstrap)
    server = URL.removeprefix("http://")

    def look() -> None:
        path = f"/{bucket}?list-type=2"
        request = crt_http.HttpRequest("GET", path, crt_http.HttpHeaders([("host", server)]))
        config = auth.AwsSigningConfig(
            algorithm=auth.AwsSigningAlgorithm.V4,
            signature_type=auth.AwsSignatureType.HTTP_REQUEST_HEADERS,
            credentials_provider=provider,
            region=REGION,
            service="s3",
            use_double_uri_encode=False,
            signed_body_header_type=auth.AwsSignedBodyHeaderType.X_AMZ_CONTENT_SHA_256,
        )
        signed = auth.aws_sign_request(request, config).result(30)
        connection = http.client.HTTPConnection(server, timeout=30)
        connection.request("GET", signed.path, headers=dict(signed.headers))
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status} {body[:200]!r}")

    return look


def s5cmd() -> Use:
    """One process, which reads its commands from standard input."""
    binary = Path(sys.executable).parent / "s5cmd"
    process = subprocess.Popen(
        [str(binary), "--endpoint-url", URL, "run"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )

    def look() -> None:
        assert process.stdin is not None
        process.stdin.write(f"ls s3://{bucket}/\n")
        process.stdin.flush()

    return look


use: Use = globals()[library]()
while not select.select([sys.stdin], [], [], pause)[0]:
    try:
        use()
        print("ok", flush=True)
    except Exception as error:  # noqa: BLE001
        print(f"error {error!r}", flush=True)
