"""AWS's partitions: worlds of their own, whose keys mean nothing in the others (AWS guide "ARN partitions")."""

from __future__ import annotations

_BY_PREFIX = (
    ("cn-", "aws-cn"),
    ("us-gov-", "aws-us-gov"),
    ("us-isob-", "aws-iso-b"),
    ("us-isof-", "aws-iso-f"),
    ("us-iso-", "aws-iso"),
    ("eu-isoe-", "aws-iso-e"),
    ("eusc-", "aws-eusc"),
)
_EXAMPLES = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1", "aws-eusc": "eusc-de-east-1"}


def partition_of_region(region: str) -> str:
    """The partition that a region belongs to; `aws-global`, too, has one."""
    name = region.removesuffix("-global")
    return next((partition for prefix, partition in _BY_PREFIX if f"{name}-".startswith(prefix)), "aws")


def partition_of_arn(arn: str) -> str:
    """The partition that an ARN names."""
    return arn.split(":")[1] if arn.count(":") >= 2 else "aws"


def mismatch(role_arn: str, region: str | None) -> str:
    """That a role is asked for through the region of another partition, and what to do; empty where it is not."""
    partition = partition_of_arn(role_arn)
    if region is None or partition_of_region(region) == partition:
        return ""
    example = _EXAMPLES.get(partition)
    hint = f', e.g. region = "{example}"' if example else ""
    return (
        f"the role is in partition {partition}, and {region} is a region of {partition_of_region(region)}: set a "
        f"region of {partition}{hint}, and sign with keys of an account there"
    )
