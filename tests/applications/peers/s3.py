"""boto3 as a client of S3: one job on its standard input, its result a line. Run by `test_s3.py`."""

from __future__ import annotations

import io
import json
import socket
import ssl
import sys
import urllib.request
from typing import Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

ca, endpoint, bucket = sys.argv[1:]
system = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: system("127.0.0.1", *rest, **more)
KEYS = [
    "plain",
    "a//b",
    "a%2Fb",
    "ü/größe",
    "with a space",
    "a+b",
    "trailing/",
    "~tilde;semi=1",
    "%25",
    "a/../b",
    "q?x=1&y",
]


def client(secret: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        verify=ca,
        region_name="us-east-1",
        aws_access_key_id="a-key",
        aws_secret_access_key=secret,
        config=Config(
            signature_version="s3v4", s3={"addressing_style": "path"}, retries={"max_attempts": 1}, proxies={}
        ),
    )


it = client("a secret of the test")
it.create_bucket(Bucket=bucket)
told: dict[str, Any] = {"keys": {}, "presigned": {}}
for key in KEYS:
    content = f"of {key}".encode()
    try:
        it.put_object(Bucket=bucket, Key=key, Body=content, Metadata={"mine": "yes"})
        got = it.get_object(Bucket=bucket, Key=key)
        told["keys"][key] = got["Body"].read() == content and got["Metadata"] == {"mine": "yes"}
        url = it.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=600)
        with urllib.request.urlopen(url, context=ssl.create_default_context(cafile=ca), timeout=60) as answer:
            told["presigned"][key] = answer.read() == content
    except Exception as e:
        told["keys"][key] = f"{type(e).__name__}: {e}"
listed = [one["Key"] for one in it.list_objects_v2(Bucket=bucket).get("Contents", [])]
told["listed"] = sorted(listed) == sorted(key for key in KEYS if told["keys"][key] is True)

large = bytes(range(256)) * (12 << 12)
parts = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20, max_concurrency=4)
it.upload_fileobj(io.BytesIO(large), bucket, "large", Config=parts)
back = io.BytesIO()
it.download_fileobj(bucket, "large", back, Config=parts)
told["multipart"] = [
    len(large),
    back.getvalue() == large,
    it.head_object(Bucket=bucket, Key="large")["ETag"].strip('"')[-2:],
]
told["range"] = it.get_object(Bucket=bucket, Key="large", Range="bytes=256-511")["Body"].read() == bytes(range(256))
try:
    client("another secret").get_object(Bucket=bucket, Key="plain")
    told["forged"] = "taken"
except ClientError as e:
    told["forged"] = e.response["Error"]["Code"]
print(json.dumps(told), flush=True)
