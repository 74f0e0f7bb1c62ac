#!/bin/sh
# A walk through the compose stack, with nothing but Docker: shift traffic, break a version, watch the breaker open and the
# alert fire, read the log and the trace, heal. The stack has to be up (docker compose up --build --wait).
# walk.txt, beside this file, is what it printed once. It ends with 1 as soon as something is not as it should be.
set -eu
GATEWAY=http://gateway:8080/productpage
RULES=examples/bookinfo/networking

BEGAN=$(date +%s)

step() { printf '\n── %s\n' "$*"; }
in_the_mesh() { docker compose exec -T control-plane mesh "$@"; }
mesh() { printf '$ mesh %s\n' "$*"; in_the_mesh "$@"; }
# pages COUNT [OPTIONS]: asks for so many product pages, ten a second, and says what came
pages() {
  count=$1; shift
  docker compose exec -T "$@" control-plane python -c '
import collections, re, sys, time, urllib.error, urllib.request
seen = collections.Counter()
for _ in range(int(sys.argv[2])):
    began = time.monotonic()
    try:
        page = urllib.request.urlopen(sys.argv[1], timeout=10).read().decode()
        found = re.search("data-reviews-version=.([a-z0-9]+)", page)
        seen[f"reviews {found[1] if found else None}"] += 1
    except urllib.error.HTTPError as error:
        seen[error.code] += 1
    time.sleep(max(0.0, began + 0.1 - time.monotonic()))
print(f"{sys.argv[2]} pages:", ", ".join(f"{count} {what}" for what, count in sorted(seen.items(), key=str)))
' "$GATEWAY" "$count"
}
# until SECONDS WORDS COMMAND…: asks until the answer has the words
until_says() {
  left=$1 words=$2; shift 2
  while [ "$left" -gt 0 ]; do
    said=$(in_the_mesh "$@" 2>&1 || true)
    if printf '%s' "$said" | grep -q "$words"; then
      printf '$ mesh %s\n%s\n' "$*" "$said"; return
    fi
    left=$((left - 1)); sleep 1
  done
  printf '$ mesh %s\n%s\nno "%s"\n' "$*" "$said" "$words"; exit 1
}

step 'Who is there, and does everybody have what it should have?'
mesh proxy-status

step 'Shift traffic: nine of ten reviews from v1, one from v2'
mesh apply --wait -f "$RULES/reviews-90-10.yaml"
pages 100

step 'Put a breaker in front of ratings; all versions of reviews again: two of them ask for ratings'
mesh apply --wait -f "$RULES/ratings-three-state-breaker.yaml"
mesh delete --wait virtualservice reviews
pages 30

step 'Break ratings: its app stops, its sidecar stays'
docker compose stop ratings-v1
pages 60 || true
until_says 20 'requests in 10 s failed' breakers

step 'The alert'
pages 400 -d
until_says 3 'MeshBreakerOpen *firing' alerts --for 20

step 'The log and the trace of a failed call'
until_says 10 'ratings' logs reviews --status 5xx --tail 8
mesh traces --errors --limit 3
mesh trace "$(in_the_mesh traces --errors --limit 1 | tail -n 1 | cut -d ' ' -f 1)"

step 'Heal: the app comes back, a probe succeeds, the breaker closes'
docker compose start ratings-v1
pages 80
until_says 30 'all .* are closed' breakers
pages 30
printf '\nEverything is as it was, %s s after the first step.\n' "$(($(date +%s) - BEGAN))"
