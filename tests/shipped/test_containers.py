"""The container file and the manifest: what they say holds, and a pod of the manifest's runs for several sessions."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from assumed import __version__
from assumed.cli.app import app
from assumed.cli.probe import quick
from assumed.config import HostFacts, load
from assumed.jobs.provider import path_of
from shipped.pod import Pod, needs_pod
from shipped.wheels import ROOT, build, installed
from world.waiting import eventually

CONTAINERFILE = (ROOT / "container" / "Containerfile").read_text()
MANIFEST = [dict(each) for each in yaml.safe_load_all((ROOT / "container" / "kubernetes.yaml").read_text())]
KIND: dict[str, dict[str, Any]] = {each["kind"]: each for each in MANIFEST}
TEMPLATE = KIND["Job"]["spec"]["template"]
POD = TEMPLATE["spec"]
(SIDECAR,), (JOB,) = POD["initContainers"], POD["containers"]
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
ROLES = KIND["ConfigMap"]["data"]["config.toml"]
OLDEST = "1.29"
"""The first Kubernetes in which an init container may stay without a feature gate."""


@pytest.mark.slow
@pytest.mark.parametrize("document", MANIFEST, ids=lambda each: each["kind"])
def test_the_manifest_is_valid_by_the_published_schemas(document: dict[str, Any]) -> None:
    """Strictly: a key that the schema does not know is a fault. By the oldest that it is meant for, and the newest."""
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    for version in (OLDEST, validate.latest_version()):
        validate.validate(document, version, strict=True)
    with pytest.raises(validate.ValidationError):
        validate.validate({**document, "metadata": {"nmae": "a typo"}}, OLDEST, strict=True)


def test_the_pod_keeps_the_rules_of_the_restricted_profile() -> None:
    """Kubernetes' strictest pod security standard, and a read-only root on top."""
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert POD["securityContext"]["runAsUser"] > 0
    assert POD["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert POD["automountServiceAccountToken"] is False
    for container in (SIDECAR, JOB):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(POD)


def test_the_job_shares_the_endpoint_with_the_sidecar_and_nothing_else_of_it() -> None:
    """One user, for the token is 0600; and neither the pod's identity nor the sessions are in the job's reach."""
    mounts = [{each["name"]: each for each in container["volumeMounts"]} for container in (SIDECAR, JOB)]
    assert set(mounts[0]) & set(mounts[1]) == {"endpoint"}
    assert mounts[1]["endpoint"]["readOnly"]
    volumes = {each["name"]: each for each in POD["volumes"]}
    assert [volumes[name]["emptyDir"]["medium"] for name in ("endpoint", "sessions")] == ["Memory", "Memory"]
    assert "runAsUser" in POD["securityContext"]
    assert all("runAsUser" not in container["securityContext"] for container in (SIDECAR, JOB))
    assert SIDECAR["restartPolicy"] == "Always"


def test_the_words_of_the_manifest_agree_with_one_another() -> None:
    """Port, token file and profile stand in the sidecar's arguments, in its probes, in the job and in the roles."""
    name, *arguments = SIDECAR["args"]
    command = app.get_command(click.Context(app), name)
    assert command is not None
    served = command.make_context(name, arguments, obj=None).params
    (profile,) = served["profiles"]
    variables = {each["name"]: each["value"] for each in JOB["env"]}
    assert variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] == f"http://127.0.0.1:{served['port']}{path_of(profile)}"
    assert variables["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] == str(served["token_file"])
    for container in (SIDECAR, JOB):
        (mount,) = [each for each in container["volumeMounts"] if each["name"] == "endpoint"]
        assert Path(mount["mountPath"]) == served["token_file"].parent
    (config,) = [each for each in SIDECAR["volumeMounts"] if each["name"] == "roles"]
    path = Path(config["mountPath"]) / "config.toml"
    roles = load(ROLES, path, {"HOME": "/var/lib/assumed"}, host=HostFacts("uid65532", "nightly"))
    assert [role.profile for role in roles.enabled()] == [profile]
    (identity,) = [each for each in SIDECAR["volumeMounts"] if each["name"] == "aws-identity"]
    assert str(roles.roles[0].web_identity_token_file) == f"{identity['mountPath']}/token"


def test_the_probes_are_those_of_the_sidecar() -> None:
    """Each is answered the quick way, and the first one leaves more time than the first session may take."""
    commands = {name: SIDECAR[name]["exec"]["command"] for name in PROBES}
    kinds = {name: command[2] for name, command in commands.items()}
    assert kinds == {"startupProbe": "readiness", "readinessProbe": "readiness", "livenessProbe": "liveness"}
    for program, probe, *arguments in commands.values():
        assert (program, probe) == ("assumed", "probe")
        assert quick([*arguments[:-1], "/nowhere"]) == 3
        assert arguments[-1] == "/run/assumed/token"
    assert SIDECAR["startupProbe"]["periodSeconds"] * SIDECAR["startupProbe"]["failureThreshold"] > 60


def test_the_commands_of_the_document_are_ones_that_we_have() -> None:
    """docs/containers.md: its compose file is YAML, and its arguments are understood."""
    (compose,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "containers.md").read_text(), re.DOTALL)
    services = yaml.safe_load(compose)["services"]
    name, *arguments = services["assumed"]["command"]
    command = app.get_command(click.Context(app), name)
    assert command is not None
    served = command.make_context(name, arguments).params
    variables = services["job"]["environment"]
    assert variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"].endswith(
        f":{served['port']}{path_of(served['profiles'][0])}"
    )
    assert variables["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] == str(served["token_file"])
    assert services["assumed"]["healthcheck"]["test"][1:] == SIDECAR["readinessProbe"]["exec"]["command"]
    assert services["assumed"]["user"] == services["job"]["user"]


def test_the_container_file_says_what_the_manifest_relies_on() -> None:
    """A user by number, no shell between the kubelet and us, no secret, base images by their short names."""
    lines = [line for line in re.sub(r"\\\n", " ", CONTAINERFILE).splitlines() if line and not line.startswith("#")]
    words = [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]
    said = dict(words)
    assert said["USER"] == f"{POD['securityContext']['runAsUser']}:{POD['securityContext']['runAsGroup']}"
    assert json.loads(said["ENTRYPOINT"]) == ["assumed"]
    assert json.loads(said["CMD"]) == ["run"]
    assert json.loads(said["HEALTHCHECK"].partition("CMD ")[2]) == ["assumed", "probe", "readiness"]
    assert f"VERSION={__version__}" in [rest for word, rest in words if word == "ARG"]
    assert SIDECAR["image"] == f"assumed:{__version__}"
    images = [rest.split()[0] for word, rest in words if word == "FROM"]
    assert {image for image in images if "/" in image} == set()
    assert not any(re.search(r"secret|token|password|AWS_", line, re.IGNORECASE) for line in lines)
    for sources in (rest.split()[:-1] for word, rest in words if word == "COPY" and "--from" not in rest):
        assert [source for source in sources if not (ROOT / source).exists()] == []


SESSION_SECONDS = 6
LIFETIMES = 4
STS_PORT = 9000
JOB_CODE = f"""
import boto3, time
sts = boto3.client("sts")
end, seen = time.monotonic() + {SESSION_SECONDS * LIFETIMES}, set()
while time.monotonic() < end:
    assert sts.get_caller_identity()["Arn"].startswith("arn:aws:sts::123456789012:assumed-role/MyS3Access/assumed-uid")
    seen.add(boto3.DEFAULT_SESSION.get_credentials().access_key)
    time.sleep(0.3)
print("keys seen:", len(seen))
"""


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An image: the wheel, installed where its user may not write."""
    with installed(build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))) as place:
        yield place


@pytest.fixture
def pod(place: Path, tmp_path: Path) -> Iterator[Pod]:
    environment = [f"PATH={place}/bin:/usr/bin:/bin", "HOME=/var/lib/assumed", "PYTHONDONTWRITEBYTECODE=1"]
    with Pod(TEMPLATE, tmp_path, environment) as pod:
        project(pod, "roles", "config.toml", ROLES, "1")
        yield pod


@pytest.fixture
def libraries_in_the_job() -> None:
    """boto3, that is: the job's container has a /tmp of its own, below which a clone may lie."""
    libraries = Path(sysconfig.get_path("purelib"))
    for each in JOB["volumeMounts"]:
        if libraries.is_relative_to(each["mountPath"]):
            pytest.skip(
                f"the libraries of the tests lie below {each['mountPath']}: the job has a directory of its own there"
            )


def start_sts(pod: Pod, place: Path, session_seconds: int, *agent: str) -> subprocess.Popen[str]:
    """An STS in the pod's network, which listens when this returns."""
    script = str(Path(__file__).with_name("pod_sts.py"))
    sts = pod.outside(str(place / "bin" / "python"), script, str(STS_PORT), str(session_seconds), *agent)
    assert sts.stdout is not None
    assert sts.stdout.readline() == '"listening"\n'
    return sts


def project(pod: Pod, volume: str, name: str, text: str, version: str) -> None:
    """A file of a projected volume, as the kubelet writes and replaces it: by a link to a directory of this version."""
    directory = pod.volume(volume)
    (directory / f"..{version}").mkdir()
    file = directory / f"..{version}" / name
    file.write_text(text)
    os.chown(file, pod.user, pod.user)
    file.chmod(0o600)
    (directory / "..new").symlink_to(f"..{version}")
    (directory / "..new").rename(directory / "..data")
    if not (directory / name).is_symlink():
        (directory / name).symlink_to(f"..data/{name}")


@pytest.mark.slow
@needs_pod
@pytest.mark.usefixtures("libraries_in_the_job")
def test_a_job_of_several_sessions_runs_beside_the_sidecar(pod: Pod, place: Path) -> None:
    """Everything as the manifest has it, probes, users, volumes and variables, but for the job's own program."""
    project(pod, "aws-identity", "token", "first-token", "1")
    sts = start_sts(pod, place, SESSION_SECONDS)
    endpoint = {"AWS_ENDPOINT_URL_STS": f"http://127.0.0.1:{STS_PORT}"}

    sidecar = pod.start("assumed", **endpoint)
    eventually(lambda: pod.probe(sidecar, "startupProbe") == 0, 30, every=0.2)
    token = pod.volume("endpoint") / "token"
    assert (token.stat().st_mode & 0o777, token.stat().st_uid) == (0o600, pod.user)
    assert sidecar.run(["touch", "/x"], pod.user).returncode == 1

    job = pod.start("job", [str(place / "bin" / "python"), "-c", JOB_CODE], **endpoint)
    assert job.run(["ls", "/run/assumed"], pod.user).stdout == "token\n"
    assert job.run(["touch", "/run/assumed/x"], pod.user).returncode == 1
    for hidden in ("/var/run/secrets/aws/token", "/var/lib/assumed/.aws"):
        assert job.run(["cat", hidden], pod.user).returncode == 1
    time.sleep(SESSION_SECONDS)
    project(pod, "aws-identity", "token", "second-token", "2")
    said, _ = job.process.communicate(timeout=60)
    assert job.process.returncode == 0, said
    assert int(said.split()[-1]) >= LIFETIMES

    assert [pod.probe(sidecar, name) for name in PROBES] == [0, 0, 0]
    began = time.monotonic()
    sidecar.signal(signal.SIGTERM)
    said, _ = sidecar.process.communicate(timeout=60)
    assert sidecar.process.returncode == 0, said
    assert time.monotonic() - began < 5
    assert not token.exists()
    sts.terminate()
    calls = [json.loads(line) for line in sts.communicate(timeout=60)[0].splitlines()]
    renewals = [call for call in calls if call["action"] == "AssumeRoleWithWebIdentity"]
    assert {call["outcome"] for call in calls} == {"ok"}
    assert {call["token"] for call in renewals} == {"first-token", "second-token"}
    assert LIFETIMES <= len(renewals) <= 4 * LIFETIMES


@pytest.mark.slow
@needs_pod
def test_the_daemon_itself_is_process_1_of_a_container(pod: Pod, place: Path) -> None:
    """`assumed run`, the image's own command: its probes, and the end on SIGTERM."""
    project(pod, "aws-identity", "token", "first-token", "1")
    start_sts(pod, place, 900)
    daemon = pod.start("assumed", ["assumed", "run"], AWS_ENDPOINT_URL_STS=f"http://127.0.0.1:{STS_PORT}")
    eventually(lambda: daemon.run(["assumed", "probe", "readiness"], pod.user).returncode == 0, 30, every=0.2)
    assert daemon.run(["assumed", "probe", "liveness"], pod.user).returncode == 0
    assert "aws_session_token" in (pod.volume("sessions") / ".aws" / "credentials").read_text()
    daemon.signal(signal.SIGTERM)
    said, _ = daemon.process.communicate(timeout=60)
    assert daemon.process.returncode == 0, said


WHO = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"


@pytest.mark.slow
@needs_pod
@pytest.mark.usefixtures("libraries_in_the_job")
def test_a_sidecar_that_is_killed_comes_back_with_its_sessions(pod: Pod, place: Path) -> None:
    """As the kubelet restarts it: another token, the same sessions, no further request to STS."""
    project(pod, "aws-identity", "token", "first-token", "1")
    sts = start_sts(pod, place, 3600)
    endpoint = {"AWS_ENDPOINT_URL_STS": f"http://127.0.0.1:{STS_PORT}"}
    tokens = set()
    for _ in range(2):
        sidecar = pod.start("assumed", **endpoint)
        eventually(lambda sidecar=sidecar: pod.probe(sidecar, "startupProbe") == 0, 30, every=0.2)
        tokens.add((pod.volume("endpoint") / "token").read_text())
        job = pod.start("job", [str(place / "bin" / "python"), "-c", WHO], **endpoint)
        said, _ = job.process.communicate(timeout=60)
        assert "assumed-role/MyS3Access/" in said
        sidecar.signal(signal.SIGKILL)
        sidecar.process.wait(60)
    assert len(tokens) == 2
    sts.terminate()
    actions = [json.loads(line)["action"] for line in sts.communicate(timeout=60)[0].splitlines()]
    assert sorted(actions) == ["AssumeRoleWithWebIdentity", "GetCallerIdentity", "GetCallerIdentity"]


@pytest.mark.slow
@needs_pod
def test_the_identity_may_come_from_eks_pod_identity(pod: Pod, place: Path) -> None:
    """As the ConfigMap's comment has it: an agent at a link-local address, asked with a token of the pod's own."""
    (comment,) = re.findall(r"# With EKS Pod Identity instead: (credential_source = .*), and", ROLES)
    roles = re.sub("(?m)^web_identity_token_file.*$", comment, ROLES)
    assert roles != ROLES
    project(pod, "roles", "config.toml", roles, "2")
    project(pod, "aws-identity", "token", "token-of-this-pod", "1")
    sts = start_sts(pod, place, 900, "token-of-this-pod")
    sidecar = pod.start(
        "assumed",
        AWS_ENDPOINT_URL_STS=f"http://127.0.0.1:{STS_PORT}",
        AWS_CONTAINER_CREDENTIALS_FULL_URI="http://169.254.170.23/v1/credentials",
        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE="/var/run/secrets/aws/token",
    )
    eventually(lambda: pod.probe(sidecar, "startupProbe") == 0, 30, every=0.2)
    sts.terminate()
    calls = [json.loads(line) for line in sts.communicate(timeout=60)[0].splitlines()]
    assert [(call["outcome"], call["role"]) for call in calls if call["action"] == "AssumeRole"] == [
        ("ok", "arn:aws:iam::123456789012:role/MyApp/MyS3Access")
    ]
