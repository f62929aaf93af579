"""The programs as they are installed, in a directory with files of the same names."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from launch.reporting import page

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_SMALL = ("--clients=5", "--rounds=1", "--batch_size=8", "--controller=fixed")


@pytest.fixture(name="installed", scope="module")
def _installed(tmp_path_factory):
    """Where the wheel of the project is installed."""
    source = tmp_path_factory.mktemp("source")
    for package in ("tff_gs", "launch", "tasks"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(_ROOT / package, source / package, ignore=ignored)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(_ROOT / file, source)
    target = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    options = ["--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    subprocess.run(
        [*command, *options, f"--target={target}", str(source)],
        check=True,
        cwd=source,
        capture_output=True,
    )
    return target


@pytest.fixture(name="beside")
def _beside(tmp_path):
    """A directory whose files have the names of our packages."""
    for name in ("launch", "tasks", "tff_gs", "examples"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('This is {name}.py')\n")
    return tmp_path


@pytest.fixture(name="run")
def _run(installed, beside):
    def run(program, *arguments):
        return subprocess.run(
            [sys.executable, installed / "bin" / program, *arguments],
            cwd=beside,
            env={**os.environ, "PYTHONPATH": str(installed)},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return run


def test_what_is_installed(installed):
    import tff_gs

    for file in ("py.typed", "runtime/_private_bind.c"):
        assert (installed / "tff_gs" / file).is_file()
    assert list((installed / "launch" / "comparison" / "presets").glob("*.toml"))
    for name in page.SCRIPTS:
        assert (installed / "launch" / "reporting" / "assets" / name).is_file()
    (metadata,) = installed.glob("tff_gs-*.dist-info/METADATA")
    assert f"\nVersion: {tff_gs.__version__}\n" in metadata.read_text()


@pytest.mark.parametrize(
    ("program", "flag"),
    [
        ("tff-gs-train", "--output_dir"),
        ("tff-gs-compare", "--output_dir"),
        ("tff-gs-regret", "--output_dir"),
        ("tff-gs-plot", "RUN"),
        ("tff-gs-report", "--output"),
        ("tff-gs-demo", "--output_dir"),
        ("tff-gs-inspect", "--json"),
        ("tff-gs-worker", "--certificate"),
    ],
)
def test_help(run, program, flag):
    helped = run(program, "--help")
    assert helped.stderr == ""
    assert flag in helped.stdout


def test_a_comparison(run, beside):
    compared = run("tff-gs-compare", "--run=small: --k=50", "--output_dir=c", *_SMALL)
    assert compared.returncode == 0, compared.stdout + compared.stderr
    (metrics,) = (beside / "c").rglob("metrics.csv")
    assert len(metrics.read_text().splitlines()) == 2


def test_children_see_what_their_parent_sees(beside, monkeypatch):
    from launch.comparison import runner

    monkeypatch.syspath_prepend(str(beside / "plugins"))
    (beside / "plugins").mkdir()
    (beside / "plugins" / "mine.py").write_text("print('Mine', __name__)\n")
    monkeypatch.setattr(
        runner,
        "_CHILD",
        f"{runner._CHILD}".replace(
            "train.run()", "import mine; print(train.__file__, *sys.argv[1:])"
        ),
    )
    seen = subprocess.run(
        runner.train_command(["--k=1"]),
        cwd=beside,
        capture_output=True,
        text=True,
        check=True,
    )
    assert seen.stdout == f"Mine mine\n{_ROOT / 'launch' / 'train.py'} --k=1\n"
