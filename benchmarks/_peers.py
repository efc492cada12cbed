"""Other packages, installed when a benchmark runs and kept apart from ours.

`use("mapie==1.6.0")` installs from PyPI into `.bench/`, an environment of its own that sees this one's NumPy and
SciPy, and makes the package importable. A package that cannot be installed is reported, and the
benchmark goes on without it: `use` then returns False.
"""

import site
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".bench"
PATIENCE = 900  # seconds for an installation


def use(*requirements: str) -> bool:
    """Make packages importable, installing them if necessary; prints a line and returns False if that fails."""
    site_packages = _site()
    for name in requirements:
        marker = HOME / f".{name.replace('==', '-')}"
        if not marker.exists() and not install(name):
            return False
        marker.touch()
    if str(site_packages) not in sys.path:
        site.addsitedir(str(site_packages))  # after our own packages, which come first
    return True


def _site() -> Path:
    if not (HOME / "bin" / "python").exists():
        venv.create(HOME, with_pip=True)
        (_packages() / "ours.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return _packages()


def _packages() -> Path:
    return HOME / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


def install(name: str) -> bool:
    pip = [str(HOME / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    try:
        result = subprocess.run(
            [*pip, "-c", str(ROOT / "constraints.txt"), name],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        print(f"({name} could not be installed in {PATIENCE} seconds; its lines are left out)", flush=True)
        return False
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
        print(f"({name} could not be installed: {reason}; its lines are left out)", flush=True)
    return result.returncode == 0
