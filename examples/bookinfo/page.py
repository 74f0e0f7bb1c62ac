"""The HTML of the product page: one document with its own style, no script, nothing loaded from elsewhere.

`data-reviews-version` on the reviews section names the version that answered ("none" on the fallback), for programs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

MOST_STARS = 5
NO_DETAILS = "Sorry, product details are currently unavailable for this book."
NO_REVIEWS = "Sorry, product reviews are currently unavailable for this book."
DETAIL_NAMES = (
    ("author", "Author"),
    ("year", "First published"),
    ("type", "Type"),
    ("pages", "Pages"),
    ("publisher", "Publisher"),
    ("language", "Language"),
    ("ISBN-10", "ISBN-10"),
    ("ISBN-13", "ISBN-13"),
)

STYLE = """
:root { color-scheme: light dark; --ink:#1d2433; --soft:#5b667c; --paper:#fff; --ground:#f3f4f8; --line:#dfe3ec;
  --accent:#3451b2; --v1:#5b667c; --v2:#1d2433; --v3:#c0263d; --bad:#9a1b2f; --bad-ground:#fdecef; }
@media (prefers-color-scheme: dark) { :root { --ink:#e7eaf2; --soft:#9aa5bd; --paper:#1b2030; --ground:#12151f;
  --line:#2c3347; --accent:#93a8f4; --v1:#9aa5bd; --v2:#e7eaf2; --v3:#ff6b81; --bad:#ffb3bf; --bad-ground:#3a1a22; } }
* { box-sizing: border-box; }
body { margin:0; background:var(--ground); color:var(--ink);
  font:16px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif; }
header { background:var(--paper); border-bottom:1px solid var(--line); }
.bar, main, footer { max-width:66rem; margin:0 auto; padding:0 1.25rem; }
.bar { display:flex; align-items:center; gap:1rem; min-height:4rem; flex-wrap:wrap; }
.bar a.home { font-weight:700; color:inherit; text-decoration:none; font-size:1.15rem; margin-right:auto; }
form { display:flex; gap:.5rem; align-items:center; margin:0; }
input { font:inherit; padding:.35rem .6rem; border:1px solid var(--line); border-radius:.5rem; background:var(--ground);
  color:inherit; width:9rem; }
button, a.button { font:inherit; padding:.35rem .9rem; border:0; border-radius:.5rem; background:var(--accent);
  color:var(--paper); cursor:pointer; text-decoration:none; }
h1 { font:700 2.1rem/1.2 Georgia,"Times New Roman",serif; margin:2.2rem 0 .5rem; }
h2 { font-size:1.15rem; margin:0; }
.summary { color:var(--soft); max-width:44rem; margin:0 0 1.6rem; }
.grid { display:grid; grid-template-columns:minmax(15rem,1fr) 2fr; gap:1.25rem; align-items:start; }
@media (max-width:46rem) { .grid { grid-template-columns:1fr; } }
section { background:var(--paper); border:1px solid var(--line); border-radius:.9rem; padding:1.2rem 1.3rem; }
.head { display:flex; align-items:center; gap:.6rem; margin-bottom:.9rem; flex-wrap:wrap; }
.tag { font-size:.8rem; padding:.1rem .6rem; border-radius:1rem; border:1px solid var(--line); color:var(--soft); }
.tag.v1 { border-color:var(--v1); color:var(--v1); }
.tag.v2 { background:var(--v2); border-color:var(--v2); color:var(--paper); }
.tag.v3 { background:var(--v3); border-color:var(--v3); color:#fff; }
.took { margin-left:auto; color:var(--soft); font-size:.85rem; font-variant-numeric:tabular-nums; }
dl { display:grid; grid-template-columns:auto 1fr; gap:.35rem 1rem; margin:0; }
dt { color:var(--soft); } dd { margin:0; }
blockquote { margin:0; padding:.9rem 0; border-top:1px solid var(--line); }
blockquote p { margin:0 0 .3rem; }
cite { color:var(--soft); font-style:normal; font-size:.9rem; }
.stars { font-size:1.15rem; letter-spacing:.12rem; } .stars.black { color:var(--v2); } .stars.red { color:var(--v3); }
.off { opacity:.22; }
.missing { background:var(--bad-ground); border-color:var(--bad); color:var(--bad); }
.missing p { margin:.4rem 0 0; } .why { font-size:.85rem; overflow-wrap:anywhere; }
.note { color:var(--bad); font-size:.9rem; }
footer { color:var(--soft); font-size:.85rem; padding-top:1.4rem; padding-bottom:2rem; }
code { font-family:ui-monospace,Menlo,Consolas,monospace; font-size:.92em; }
""".strip()


@dataclass(frozen=True, slots=True)
class Part:
    """What a service answered: `data`, or None and the reason in `error`; `seconds` is how long it took."""

    data: Any
    error: str
    seconds: float


def render_index(products: Sequence[Mapping[str, Any]]) -> str:
    books = "".join(f'<p><a href="/productpage">{escape(book["title"])}</a></p>' for book in products)
    body = f'<h1>Bookinfo</h1><p class="summary">A bookshop of four services, to see a service mesh at work.</p>{books}'
    return _document("Bookinfo", body, user="")


def render_product_page(product: Mapping[str, Any], details: Part, reviews: Part, user: str, instance: str) -> str:
    """The whole page; a part without data becomes a visible notice."""
    body = (
        f"<h1>{escape(product['title'])}</h1>"
        f'<p class="summary">{escape(product["descriptionHtml"])}</p>'
        f'<div class="grid">{_details(details)}{_reviews(reviews)}</div>'
    )
    return _document(product["title"], body, user, f"page by <code>{escape(instance)}</code>")


def _details(part: Part) -> str:
    if part.data is None:
        return _missing("details", "Book details", NO_DETAILS, part)
    rows = "".join(
        f"<dt>{label}</dt><dd>{escape(str(part.data[key]))}</dd>" for key, label in DETAIL_NAMES if key in part.data
    )
    return f'<section id="details">{_head("Book details", "", part)}<dl>{rows}</dl></section>'


def _reviews(part: Part) -> str:
    if part.data is None:
        return _missing("reviews", "Book reviews", NO_REVIEWS, part, ' data-reviews-version="none"')
    version = escape(str(part.data.get("version", "unknown")))
    instance = escape(str(part.data.get("podname", "unknown")))
    tags = f'<span class="tag {version}">reviews {version}</span><span class="tag">{instance}</span>'
    quotes = "".join(_quote(review) for review in part.data.get("reviews", ()))
    return (
        f'<section id="reviews" data-reviews-version="{version}" data-reviews-instance="{instance}">'
        f"{_head('Book reviews', tags, part)}{quotes}</section>"
    )


def _quote(review: Mapping[str, Any]) -> str:
    return (
        f"<blockquote><p>{escape(str(review.get('text', '')))}</p>"
        f"{_stars(review.get('rating'))}<cite>— {escape(str(review.get('reviewer', '')))}</cite></blockquote>"
    )


def _stars(rating: Mapping[str, Any] | None) -> str:
    if rating is None:
        return ""
    if "stars" not in rating:
        return f'<p class="note">{escape(str(rating.get("error", "no rating")))}</p>'
    stars = max(0, min(MOST_STARS, int(rating["stars"])))
    color = "red" if rating.get("color") == "red" else "black"
    return (
        f'<p class="stars {color}" role="img" aria-label="{stars} of {MOST_STARS} stars">{"★" * stars}'
        f'<span class="off">{"★" * (MOST_STARS - stars)}</span></p>'
    )


def _head(title: str, tags: str, part: Part) -> str:
    return f'<div class="head"><h2>{title}</h2>{tags}<span class="took">{part.seconds * 1000:.0f} ms</span></div>'


def _missing(name: str, title: str, text: str, part: Part, attributes: str = "") -> str:
    return (
        f'<section id="{name}" class="missing"{attributes}>{_head(title, "", part)}'
        f'<p>{escape(text)}</p><p class="why">{escape(part.error)}</p></section>'
    )


def _document(title: str, body: str, user: str, foot: str = "") -> str:
    if user:
        sign = f'<span>signed in as <strong>{escape(user)}</strong></span><a class="button" href="/logout">Sign out</a>'
    else:
        sign = (
            '<form method="post" action="/login"><input name="username" placeholder="jason" aria-label="user name" '
            'maxlength="40" required><button>Sign in</button></form>'
        )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>"
        f'<header><div class="bar"><a class="home" href="/productpage">Bookinfo</a>{sign}</div></header>'
        f"<main>{body}</main><footer>{foot}</footer></body></html>"
    )
