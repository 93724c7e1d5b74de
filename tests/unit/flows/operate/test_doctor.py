"""The health check, where nothing is set up and where servers are."""

from pathlib import Path

import pytest

from flows import cli
from flows.operate.doctor import examine

NEEDED = {"Prefect server": "prefect-not-set", "workers": "prefect-not-set", "Ray cluster": "ray-not-set"}


@pytest.fixture
def nothing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ATTGAN_STACK_FOLDER", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in (
        "PREFECT_API_URL",
        "RAY_ADDRESS",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_PROFILE",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("nothing_is_named")
def test_what_is_missing_is_named_with_its_code_and_the_rest_is_checked(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    rows = list(examine((str(tmp_path / "place"), str(tmp_path / "no" / "such"))))
    found = {row["check"]: (row["ok"], row["found"]) for row in rows}
    for check, code in NEEDED.items():
        assert found[check][0] == "no"
        assert f"[{code}]" in found[check][1]
    assert "[aws-credentials-missing]" in found["S3 credentials"][1]
    for check in ("attgan", "torch", "default bundle", "free space", str(tmp_path / "place")):
        assert found[check][0] == "yes", found[check]
    assert len(rows) <= 10


@pytest.mark.usefixtures("nothing_is_named")
def test_the_command_prints_it_and_ends_with_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.run(["doctor"])
    assert ended.value.code == 1
    assert "prefect-not-set" in capsys.readouterr().out
