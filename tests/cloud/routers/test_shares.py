"""Links that show a picture to whoever has them, and nothing of what lies behind it."""

import io
from datetime import timedelta

import pytest
from PIL import Image, PngImagePlugin

from shared.files import digest_bytes
from tests.cloud.api import Api, Client

CANARY = "canary-prompt-canary"


def _photo(orientation: int = 6) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x0110] = f"prompt:{CANARY}"
    exif.get_ifd(0x8825)[29] = CANARY
    info = PngImagePlugin.PngInfo()
    info.add_text("workflow", CANARY)
    file = io.BytesIO()
    Image.linear_gradient("L").resize((48, 32)).save(file, "PNG", exif=exif, pnginfo=info)
    return file.getvalue()


PHOTO = _photo()
DIGEST = digest_bytes(PHOTO)


@pytest.fixture
async def owner(client: Client) -> Client:
    assert (await client.upload(PHOTO))["state"] == "ready"
    return client


async def _shared(client: Client, **body: object) -> dict[str, str]:
    answer = await client.call("POST", f"/artifacts/{DIGEST}/shares", json=body)
    assert answer.status_code == 201, answer.text
    return {"url": answer.json()["url"], **answer.json()["share"]}


async def test_link_shows_a_copy_that_tells_nothing(owner: Client) -> None:
    made = await _shared(owner, name="Ö")
    shown = await owner.http.get(made["url"])

    assert (shown.status_code, shown.headers["Content-Type"]) == (200, "image/png")
    assert shown.headers["Content-Disposition"] == "attachment; filename*=UTF-8''%C3%96.png"
    assert shown.headers["X-Content-Type-Options"] == "nosniff"
    assert shown.headers["Referrer-Policy"] == "no-referrer"
    assert CANARY.encode() not in shown.content
    assert digest_bytes(shown.content) == made["digest"] != DIGEST
    with Image.open(io.BytesIO(shown.content)) as copy, Image.open(io.BytesIO(PHOTO)) as photo:
        assert copy.tobytes() == photo.tobytes()
        assert dict(copy.getexif()) == {0x0112: 6}


async def test_owner_gets_back_what_the_owner_sent(owner: Client) -> None:
    made = await _shared(owner)
    own = (await owner.call("GET", f"/artifacts/{DIGEST}")).json()
    assert (await owner.http.get(own["download"]["url"])).content == PHOTO
    assert own["derived_from"] is None
    copy = (await owner.call("GET", f"/artifacts/{made['digest']}")).json()
    assert (copy["state"], copy["derived_from"]) == ("ready", DIGEST)


async def test_revoked_link_shows_nothing(owner: Client) -> None:
    made = await _shared(owner)
    for _ in range(2):
        assert (await owner.call("DELETE", f"/shares/{made['id']}")).status_code == 204
    for method in ("GET", "HEAD"):
        assert (await owner.http.request(method, made["url"])).status_code == 403
    [listed] = (await owner.call("GET", "/shares")).json()["shares"]
    assert listed["revoked_at"] is not None


async def test_link_ends_by_itself(api: Api, owner: Client) -> None:
    made = await _shared(owner, valid_s=60)
    assert (await owner.http.get(made["url"])).status_code == 200
    api.context.database.clock_offset += timedelta(seconds=61)
    answer = await owner.http.get(made["url"])
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "link_expired")


async def test_links_are_their_accounts_own(api: Api, owner: Client) -> None:
    made = await _shared(owner)
    other = await api.client("b@example.com")
    assert (await other.call("POST", f"/artifacts/{DIGEST}/shares", json={})).status_code == 404
    assert (await other.call("DELETE", f"/shares/{made['id']}")).status_code == 404
    assert (await other.call("GET", "/shares")).json()["shares"] == []
    assert (await owner.http.get(made["url"])).status_code == 200


async def test_only_whole_links_of_ours_show_anything(owner: Client) -> None:
    made = await _shared(owner)
    own = (await owner.call("GET", f"/artifacts/{DIGEST}")).json()["download"]["url"]
    base, _, token = made["url"].rpartition("/")
    for wrong in (token[:-1], token + "A", made["id"], made["digest"], own.rpartition("/")[2][:100]):
        assert (await owner.http.get(f"{base}/{wrong}")).status_code == 403


async def test_token_is_told_once_and_kept_nowhere(api: Api, owner: Client) -> None:
    made = await _shared(owner)
    token = made["url"].rpartition("/")[2]
    assert token not in (await owner.call("GET", "/shares")).text
    rows = await api.context.database.read(
        lambda unit: unit.connection.exec_driver_sql("SELECT * FROM shares").all()
    )
    assert token not in str(rows)


async def test_many_links_come_in_pages(owner: Client) -> None:
    made = [(await _shared(owner))["id"] for _ in range(5)]
    first = (await owner.call("GET", "/shares?limit=3")).json()
    rest = (await owner.call("GET", f"/shares?limit=3&cursor={first['next_cursor']}")).json()
    assert [share["id"] for share in (*first["shares"], *rest["shares"])] == made[::-1]
    assert rest["next_cursor"] is None


async def test_part_of_a_picture_and_its_headers_alone(owner: Client) -> None:
    made = await _shared(owner)
    whole = (await owner.http.get(made["url"])).content
    part = await owner.http.get(made["url"], headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(whole)}"
    head = await owner.http.head(made["url"])
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == str(len(whole))
    same = await owner.http.get(made["url"], headers={"If-None-Match": head.headers["ETag"]})
    assert (same.status_code, same.content) == (304, b"")
    beyond = await owner.http.get(made["url"], headers={"Range": f"bytes={len(whole)}-"})
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{len(whole)}")


async def test_what_was_only_announced_cannot_be_shown_yet(client: Client) -> None:
    digest = (await client.announce(b"to come"))["digest"]
    refused = await client.call("POST", f"/artifacts/{digest}/shares", json={})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")
