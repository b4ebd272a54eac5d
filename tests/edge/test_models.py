"""The lean loader makes the clients that botocore's own makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import Loader, create_loader
from botocore.session import Session

from assumed.edge.aws.models import SERVICES, loader

REGIONS = ("us-east-1", "us-west-2", "eu-central-1", "cn-north-1", "us-gov-west-1", "xx-nowhere-1")


def client(data: Loader, service: str, region: str, monkeypatch: pytest.MonkeyPatch, **variables: str) -> Any:
    with monkeypatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        session = Session()
        session.register_component("data_loader", data)
        return session.create_client(service, region_name=region, aws_access_key_id="a", aws_secret_access_key="b")


@pytest.mark.parametrize("service", SERVICES)
def test_every_region_has_the_endpoint_signature_and_calls_that_botocore_gives_it(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lean, stock = loader(None), create_loader()
    for region in REGIONS:
        ours, theirs = (client(data, service, region, monkeypatch) for data in (lean, stock))
        assert ours.meta.endpoint_url == theirs.meta.endpoint_url
        assert ours.meta.config.signature_version == theirs.meta.config.signature_version
        assert ours.meta.method_to_api_mapping == theirs.meta.method_to_api_mapping


@pytest.mark.parametrize(
    "variables",
    [
        {"AWS_STS_REGIONAL_ENDPOINTS": "legacy"},
        {"AWS_USE_FIPS_ENDPOINT": "true"},
        {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
    ],
    ids=lambda variables: next(iter(variables)),
)
def test_variants_of_the_endpoint_are_botocores(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = (client(d, "sts", "us-west-2", monkeypatch, **variables) for d in (loader(None), create_loader()))
    assert ours.meta.endpoint_url == theirs.meta.endpoint_url


def test_the_directories_of_aws_data_path_are_searched_first(tmp_path: Path) -> None:
    model = tmp_path / "sts" / "2011-06-15"
    model.mkdir(parents=True)
    (model / "service-2.json").write_text('{"metadata": {"serviceId": "mine"}}')
    assert loader(f"{tmp_path}:/nowhere").load_service_model("sts", "service-2")["metadata"]["serviceId"] == "mine"


def test_what_it_does_not_know_is_unknown() -> None:
    assert loader(None).list_available_services("service-2") == sorted(SERVICES)
