"""Lists a bucket with one DuckDB connection until standard input ends. Its secret is made anew before each listing."""

import os
import select
import sys

import duckdb
import duckdb_ext

bucket, pause = sys.argv[1], float(sys.argv[2])
host = os.environ["AWS_ENDPOINT_URL"].removeprefix("http://")
secret = f"""CREATE OR REPLACE SECRET s (TYPE s3, PROVIDER credential_chain,
    REGION 'us-west-2', ENDPOINT '{host}', USE_SSL false, URL_STYLE 'path')"""
with duckdb_ext.init(duckdb.connect()) as connection:
    connection.execute("LOAD aws")
    while not select.select([sys.stdin], [], [], pause)[0]:
        try:
            connection.execute(secret)
            connection.execute("SELECT * FROM glob(?)", [f"s3://{bucket}/*"]).fetchall()
            print("ok", flush=True)
        except duckdb.Error as error:
            print(f"error {error!r}", flush=True)
