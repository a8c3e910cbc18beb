"""EC2's query protocol: forms in, XML out, and a request passed on to moto."""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode
from xml.etree import ElementTree as ET

import msgspec

NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"
Form = dict[str, str]
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Answer(msgspec.Struct):
    """One HTTP answer."""

    status: int
    body: bytes
    content_type: str = "text/xml;charset=UTF-8"


class Call(msgspec.Struct):
    """One call to AWS, whichever protocol it speaks."""

    service: str
    action: str
    form: Form
    """Parameters of a query call; empty for JSON services."""
    json: dict[str, Any]
    environ: dict[str, Any]
    body: bytes


def read_call(environ: dict[str, Any]) -> Call:
    """Take a request apart; its body can be read again by moto."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if target:
        document = msgspec.json.decode(body) if body else {}
        return Call(_service(environ), target.rpartition(".")[2], {}, document, environ, body)
    form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    return Call(_service(environ), form.get("Action", ""), form, {}, environ, body)


def _service(environ: Mapping[str, Any]) -> str:
    """From the credential scope of the signature: key/date/region/service/aws4_request."""
    scope = str(environ.get("HTTP_AUTHORIZATION", "")).partition("Credential=")[2].partition(",")[0].split("/")
    return scope[3] if len(scope) > 3 else ""  # noqa: PLR2004 - parts of a credential scope


def forward(app: Wsgi, call: Call, form: Form | None = None) -> Answer:
    """Let moto answer the call, or another form in its place."""
    environ = dict(call.environ)
    body = urlencode(form).encode() if form is not None else call.body
    environ["wsgi.input"] = io.BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))
    seen: dict[str, Any] = {}

    def start(status: str, headers: list[tuple[str, str]], _error: object = None) -> None:
        seen["status"] = int(status.split(maxsplit=1)[0])
        seen["headers"] = {k.lower(): v for k, v in headers}

    chunks = b"".join(app(environ, start))
    return Answer(seen["status"], chunks, seen["headers"].get("content-type", "text/xml"))


def numbered(form: Form, prefix: str) -> Iterator[Form]:
    """``Prefix.1.X``, ``Prefix.2.X`` … as one form each, in order."""
    items: dict[int, Form] = {}
    for key, value in form.items():
        if key.startswith(prefix + "."):
            number, _, rest = key[len(prefix) + 1 :].partition(".")
            if number.isdigit():
                items.setdefault(int(number), {})[rest] = value
    yield from (items[n] for n in sorted(items))


def local_name(found: ET.Element) -> str:
    """Its name without the namespace; moto is not of one mind about namespaces."""
    return found.tag.rpartition("}")[2]


def texts(answer: Answer, tag: str) -> list[str]:
    """Text of every element of this name."""
    root = ET.fromstring(answer.body)  # noqa: S314 - moto's own XML
    return [found.text or "" for found in root.iter() if local_name(found) == tag]


def first_text(answer: Answer, tag: str) -> str:
    """Text of the first element of this name; empty when there is none."""
    return next(iter(texts(answer, tag)), "")


def element(name: str, *children: ET.Element, text: str | None = None) -> ET.Element:
    """An XML element."""
    made = ET.Element(name)
    made.text = text
    made.extend(children)
    return made


def document(action: str, *children: ET.Element) -> Answer:
    """A successful answer of EC2."""
    root = element(f"{action}Response", element("requestId", text="00000000-0000-0000-0000-000000000000"), *children)
    root.set("xmlns", NAMESPACE)
    return Answer(200, ET.tostring(root, encoding="utf-8", xml_declaration=True))


def query_error(code: str, message: str, status: int = 400) -> Answer:
    """EC2's error document."""
    error = element("Error", element("Code", text=code), element("Message", text=message))
    root = element("Response", element("Errors", error), element("RequestID", text="0"))
    return Answer(status, ET.tostring(root, encoding="utf-8", xml_declaration=True))


def json_error(code: str, message: str, status: int = 400) -> Answer:
    """The error document of a JSON service."""
    return Answer(status, msgspec.json.encode({"__type": code, "message": message}), "application/x-amz-json-1.1")


def json_answer(value: object) -> Answer:
    """A successful answer of a JSON service."""
    return Answer(200, msgspec.json.encode(value), "application/x-amz-json-1.1")
