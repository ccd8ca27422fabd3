"""Image files are found by names of every make, and never outside of their folder."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote

import pytest

from sambench.suites.data.locate import ImageFolder

ACCENTED = "Übergröße é.jpg"


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "images"
    for name in ("a.jpg", "deep/b.jpg", "one/same.jpg", "two/same.jpg", "with space.jpg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    (tmp_path / "outside.jpg").write_bytes(b"")
    return root


@pytest.mark.parametrize(
    ("name", "file", "kind"),
    [
        ("a.jpg", "a.jpg", None),
        ("./a.jpg", "a.jpg", None),
        ("deep/../a.jpg", "a.jpg", None),
        ("deep/b.jpg", "deep/b.jpg", None),
        ("deep\\b.jpg", "deep/b.jpg", "name_slashes"),
        (".\\deep\\b.jpg", "deep/b.jpg", "name_slashes"),
        ("with%20space.jpg", "with space.jpg", "name_decoded"),
        ("/data/local-files/?d=deep/b.jpg", "deep/b.jpg", "name_decoded"),
        ("/data/local-files/?d=with%20space.jpg", "with space.jpg", "name_decoded"),
    ],
)
def test_a_name_is_found_as_it_is_meant(folder, name, file, kind):
    found = ImageFolder(folder).find(name, None)
    assert (found.file, found.kind) == (folder / file, kind)


def test_an_absolute_name_within_the_folder_is_that_file(folder):
    assert ImageFolder(folder).find(str(folder / "deep/b.jpg"), None).file == folder / "deep/b.jpg"


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("in_file", ["NFC", "NFD"])
def test_accents_may_be_composed_or_not(folder, on_disk, in_file):
    file = folder / "deep" / unicodedata.normalize(on_disk, ACCENTED)
    file.write_bytes(b"")
    name = "deep/" + unicodedata.normalize(in_file, ACCENTED)
    found = ImageFolder(folder).find(name, None)
    assert (found.file, found.kind) == (file, None if on_disk == in_file else "name_unicode")
    assert ImageFolder(folder).find(quote(name), None).file == file


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../outside.jpg", "outside_image"),
        ("..\\outside.jpg", "outside_image"),
        ("%2e%2e/outside.jpg", "missing_image"),
        ("deep/../../outside.jpg", "outside_image"),
        ("/etc/hostname", "outside_image"),
        ("no\0thing.jpg", "outside_image"),
        ("none.jpg", "missing_image"),
        ("upload/1/a.jpg", "name_elsewhere"),
        ("../../media/a.jpg", "name_elsewhere"),
        ("C:\\photos\\a.jpg", "name_elsewhere"),
        ("http://host/a.jpg", "name_elsewhere"),
        ("b.jpg", "name_elsewhere"),
    ],
)
def test_what_is_not_where_it_should_be_is_said(folder, name, kind):
    found = ImageFolder(folder).find(name, None)
    assert found.kind == kind
    assert found.detail


@pytest.mark.parametrize("name", ["../../media/a.jpg", "C:\\photos\\a.jpg", "http://host/a.jpg", "x/y/a.jpg"])
def test_by_the_last_part_of_its_name_where_that_is_asked_for(folder, name):
    found = ImageFolder(folder, "basename").find(name, None)
    assert (found.file, found.kind) == (folder / "a.jpg", "name_base")


def test_the_last_part_alone_may_be_ambiguous_or_not_there(folder):
    by_base = ImageFolder(folder, "basename")
    assert by_base.find("a.jpg", None).kind is None
    assert by_base.find("x/b.jpg", None).file == folder / "deep/b.jpg"
    assert by_base.find("one/same.jpg", None).kind == "ambiguous_name"
    assert by_base.find("../outside.jpg", None).kind == "missing_image"


def test_a_link_may_lead_anywhere(folder, tmp_path):
    (folder / "link.jpg").symlink_to(tmp_path / "outside.jpg")
    assert ImageFolder(folder).find("link.jpg", None).kind is None


def test_lvis_names_its_files_by_address(tmp_path):
    (tmp_path / "val2017").mkdir()
    (tmp_path / "val2017" / "7.jpg").write_bytes(b"")
    address = "http://images.cocodataset.org/val2017/7.jpg"
    assert ImageFolder(tmp_path).find(None, address).file == tmp_path / "val2017" / "7.jpg"
    assert ImageFolder(tmp_path / "val2017").find(None, address).file == tmp_path / "val2017" / "7.jpg"
    assert ImageFolder(tmp_path).find(None, address.replace("7.", "8.")).kind == "missing_image"
