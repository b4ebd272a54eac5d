"""The lean loader makes the clients that botocore's own makes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import botocore
import pytest
from botocore.loaders import Loader, create_loader
from botocore.session import Session

from assumed.aws.client import ENDPOINTS, SERVICES, cut, loader

STOCK = Path(botocore.__file__).parent / "data"

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


def whole_endpoints() -> Any:
    return json.loads((STOCK / "endpoints.json").read_bytes())


def without_others(endpoints: Any) -> Any:
    for partition in endpoints["partitions"]:
        partition["services"] = {name: it for name, it in partition["services"].items() if name in ENDPOINTS}
    return endpoints


def test_what_is_cut_out_of_botocores_endpoints_before_they_are_parsed_is_what_nobody_asks_for() -> None:
    assert len(cut((STOCK / "endpoints.json").read_text())) < 200_000, "its indentation has changed: parsed whole"
    assert loader.__wrapped__(None).load_data("endpoints") == without_others(whole_endpoints())


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(whole_endpoints()),
        json.dumps(whole_endpoints(), indent=4, separators=(",", " : ")),
        json.dumps({**whole_endpoints(), "partitions": whole_endpoints()["partitions"][:1]}, indent=2),
        '{"partitions" : [ {\n    "services" : {\n      "sts" : { },\n      "s3" : { }\n    }\n  } ]\n}',
        '{"partitions" : [ {\n    "services" : { }\n  }, {\n    "services" : {\n      "s3" : {\n      }\n    }\n  }]}',
        '{"partitions" : [ {\n    "services" : {\n      "s3" : { }\n    }\n  } ]\n}',
    ],
    ids=["one line", "other indentation", "other colons", "a service on a line", "no services", "none of ours"],
)
def test_endpoints_written_in_any_other_form_come_to_the_same(tmp_path: Path, text: str) -> None:
    (tmp_path / "endpoints.json").write_text(text)
    assert without_others(loader(str(tmp_path)).load_data("endpoints")) == without_others(json.loads(text))


def test_the_directories_of_aws_data_path_are_searched_first(tmp_path: Path) -> None:
    model = tmp_path / "sts" / "2011-06-15"
    model.mkdir(parents=True)
    (model / "service-2.json").write_text('{"metadata": {"serviceId": "mine"}}')
    assert loader(f"{tmp_path}:/nowhere").load_service_model("sts", "service-2")["metadata"]["serviceId"] == "mine"


def test_what_it_does_not_know_is_unknown() -> None:
    assert loader(None).list_available_services("service-2") == sorted(SERVICES)
