"""What `import workbench` costs above a bare interpreter."""

import statistics
import subprocess
import sys
import time

ROUNDS = 15


def seconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def main() -> list[dict[str, object]]:
    """Start both in turns; the medians' difference is the import."""
    pairs = [(seconds("import workbench"), seconds("pass")) for _ in range(ROUNDS)]
    ours, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
    above = (ours - bare) * 1000
    print(f"{'import workbench':<44} {above:6.1f} ms above a bare interpreter's {bare * 1000:.1f} ms")
    return [{"what": "import workbench", "ms": above, "bare_ms": bare * 1000}]


if __name__ == "__main__":
    main()
