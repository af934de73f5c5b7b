"""The page's files: what is vendored is what was published, and its own modules do as they say."""

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from parley.wire.page import FOLDER
from parley.wire.smarter.words import OTHERWISE, TOLD

VENDOR = FOLDER / "vendor"
VENDORED = json.loads((VENDOR / "vendor.json").read_text())
MODULES = sorted(FOLDER.glob("*.js"))
SHEETS = sorted(FOLDER.glob("*.css"))
FAILURES = """
const { failure } = await import(process.argv[1]);
const told = Object.fromEntries(JSON.parse(process.argv[2]).map((code) => [code, failure(code)]));
console.log(JSON.stringify(told));
"""


@pytest.mark.parametrize("library", VENDORED, ids=lambda library: str(library["package"]))
def test_a_library_is_the_published_file_with_its_licence(library: dict[str, str]) -> None:
    content = (VENDOR / library["file"]).read_bytes()

    assert hashlib.sha256(content).hexdigest() == library["sha256"]
    assert library["version"].encode() in content[:500]
    assert len((VENDOR / library["license_file"]).read_text()) > 1000


def test_nothing_else_is_vendored() -> None:
    listed = {library[name] for library in VENDORED for name in ("file", "license_file")}

    assert {path.name for path in VENDOR.iterdir()} == {*listed, "vendor.json"}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_no_module_parses_text_as_html(module: Path) -> None:
    sinks = r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|new Function)\b"

    assert not re.search(sinks, module.read_text())


def test_imports_name_files_that_are_there() -> None:
    for module in MODULES:
        for name in re.findall(r'from "(\./[^"]+)"', module.read_text()):
            assert (FOLDER / name).is_file(), (module.name, name)


def loaded(document: str) -> set[str]:
    """All files that a document loads, whichever of them names which."""
    found: set[str] = set()
    named = re.findall(r"{{assets}}([^\"]+)", (FOLDER / document).read_text())
    while named:
        name = named.pop()
        if name not in found:
            found.add(name)
            imports = re.findall(r'from "\./([^"]+)"', (FOLDER / name).read_text())
            named += [(Path(name).parent / one).as_posix() for one in imports]
    return found


def test_every_file_of_the_page_is_loaded_by_a_document_or_a_site() -> None:
    own = {path.name for path in (*MODULES, *SHEETS)}

    assert own - {"embed.js"} <= loaded("index.html") | loaded("workbench.html")


@pytest.mark.parametrize(
    ("document", "files", "kilobytes"), [("index.html", 23, 264), ("workbench.html", 8, 28)]
)
def test_a_page_loads_few_files_and_little(document: str, files: int, kilobytes: int) -> None:
    sizes = [(FOLDER / name).stat().st_size for name in loaded(document)]

    # Once for each version of them: they are kept for ever. API Gateway does not compress.
    assert len(sizes) <= files
    assert sum(sizes) <= kilobytes * 1000


def test_each_colour_stands_once() -> None:
    written = [re.sub(r"/\*.*?\*/", "", sheet.read_text(), flags=re.DOTALL) for sheet in SHEETS]
    named = re.findall(r"^\s*(--[\w-]+):", "".join(written), flags=re.MULTILINE)

    # What lies below a table and a block of code is another place's, not another theme's.
    assert sorted(name for name in named if name != "--under") == sorted({*named} - {"--under"})
    assert "prefers-color-scheme" not in "".join(written)


def test_the_modules_pass_their_own_tests() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node")
    suite = sorted(str(path) for path in Path("tests/page/js").glob("*.test.mjs"))
    ran = subprocess.run(
        [node, "--test", "--test-timeout=60000", *suite],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout[-5000:]


def test_a_failure_has_the_words_that_the_server_has_for_it() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node")
    expected = {code: words for code, (words, _) in TOLD.items()} | {"of tomorrow": OTHERWISE}
    ran = subprocess.run(
        [
            node,
            "--input-type=module",
            "-e",
            FAILURES,
            (FOLDER / "texts.js").as_uri(),
            json.dumps([*expected]),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert json.loads(ran.stdout) == expected
