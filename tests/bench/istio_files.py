"""How much of other people's configuration applies here: files and documents of a folder, and what stands in the way.

    python -m tests.bench.istio_files --folder istio/samples
    python -m tests.bench.istio_files --folder api/networking     # examples in the comments of .proto files

Helm charts, values files and the like are no Kubernetes documents: they are counted by themselves.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mesh.errors import ConfigError
from mesh.istio.load import load, load_documents
from mesh.istio.yaml_nodes import YamlError, compose

_EXAMPLE = re.compile(r"```yaml\n(.*?)```", re.DOTALL)
OWN = "istio.io"


@dataclass
class Counts:
    """What applied, of how many; and why the rest did not."""

    files: int = 0
    files_good: int = 0
    documents: int = 0
    documents_good: int = 0
    own: int = 0
    own_good: int = 0
    others: int = 0  # documents without kind and apiVersion
    reasons: Counter[str] = field(default_factory=Counter)


def texts(folder: Path) -> Iterator[tuple[str, str]]:
    """YAML files as they are, and the examples in the comments of .proto files."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".yaml", ".yml") and path.is_file():
            yield str(path), path.read_text(encoding="utf-8", errors="replace")
        elif path.suffix == ".proto":
            comments = re.sub(r"^\s*// ?", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
            for number, example in enumerate(_EXAMPLE.findall(comments)):
                yield f"{path}#{number}", textwrap.dedent(example)


def count(folder: Path) -> Counts:
    found = Counts()
    for name, text in texts(folder):
        try:
            documents = [node.data for node in compose(text) if node.data is not None]
        except YamlError as error:
            found.files += 1
            found.reasons[str(error.args[0])[:100]] += 1
            continue
        if not any(isinstance(each, dict) and "apiVersion" in each and "kind" in each for each in documents):
            found.others += len(documents)
            continue
        found.files += 1
        found.files_good += _good(lambda text=text, name=name: load(text, name), found, reasons=False)
        for document in documents:
            good = _good(lambda document=document: load_documents([document]), found, reasons=True)
            found.documents += 1
            found.documents_good += good
            if isinstance(document, dict) and OWN in str(document.get("apiVersion", "")):
                found.own += 1
                found.own_good += good
    return found


def _good(read: object, found: Counts, reasons: bool) -> bool:
    try:
        read()  # type: ignore[operator]
    except ConfigError as error:
        if reasons:
            fields = {
                f"{_place(problem.field)}: {problem.message.partition(';')[0]}"[:110] for problem in error.problems
            }
            found.reasons.update(fields)
        return False
    return True


def _place(path: str) -> str:
    return re.sub(r"\[\d+\]", "[]", path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--reasons", type=int, default=20, help="how many reasons to print")
    arguments = parser.parse_args()
    if not arguments.folder.is_dir():
        sys.exit(f"{arguments.folder} is no folder")
    found = count(arguments.folder)
    print(f"files      {found.files_good} of {found.files} apply")
    print(f"documents  {found.documents_good} of {found.documents} apply")
    print(f"of istio.io {found.own_good} of {found.own}")
    if found.others:
        print(f"besides    {found.others} documents without kind and apiVersion")
    for reason, times in found.reasons.most_common(arguments.reasons):
        print(f"  {times:4}  {reason}")


if __name__ == "__main__":
    main()
