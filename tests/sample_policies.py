"""Policies that parse, between them with every construct of the language."""

from __future__ import annotations

CHAT = """\
entity User labels "spammer", "trusted"
entity Server

shape actor
  id        text   = $.id
  at        time   = $.created_at
  author    User   = $.author.id
  joined    time?  = $.author.created_at

event message from "message_create" with actor
  server    Server = $.guild_id
  channel   text   = $.channel_id
  content   text   = $.message.content  default ""
  mentions  list<User> = $.message.mentions[*].id

list bad_domains from "lists/bad_domains.txt" as domains
list slurs       from "lists/slurs.txt"       as words

let account_age = at - joined
let newcomer    = account_age < 7d
let links       = urls(content)
let messages_1m = count(message by author within 1m)
let usual_1m    = rate(message by author per 1m within 30d before 1h ago)

let same_text = distinct(author of message by fingerprint(content) within 10m
    where length(content) > 20)

model spam from "models/spam.lgb"
  length    = length(content)
  links     = size(links)
  age_days  = account_age / 1d
  burst     = messages_1m

score raid_risk
  40 when newcomer
  25 when messages_1m > 10 and messages_1m > 5 * (usual_1m ?? 1)
  35 when same_text >= 5 because "the same text from {same_text} people"
  minus 30 when author labelled "trusted"

# Coordinated link floods from fresh accounts.
rule link_flood on message
  when newcomer and size(links) >= 2
   and (spam >= 80% or any links.domain in bad_domains)
  then block
       label author "spammer" for 30d
       send "mod-queue" { why: "link flood", count: messages_1m } limit 1 per author every 1h
  because "{messages_1m} messages and {size(links)} links from an account {account_age} old"
  rollout 25% by author
  tag "spam"
  owner "integrity"

test "a fresh account flooding links is blocked, and the queue hears of it once"
  given message { author: "u1", joined: now - 2d, content: "see http://a.test http://b.test" }
    repeat 12 every 3s with spam = 0.95
  expect block by link_flood on the last
  expect label "spammer" on User "u1"
  expect send "mod-queue" once
"""
"""The policy that the language's description opens with; `quell fmt` leaves it as it is."""

MORE = """\
event click from "click" when $.type == "a" when $["x y"][0] == -2 with actor, page
  from    text? = $.from
  limit   number = $.n default 1_000
  kind    one of ["a", "b {{c}}"]? = $.kind default missing
  groups  list<list<text>>? = $.groups[*] default ["a", 1.5, 80%, 1h30m, true]
event page
verdicts for message, click allow < flag < review on failure review
list geo from "geo.csv" as exact gives country text, lat number?
model toxic from remote "toxicity"
  text = content
  owner = author
  when length(content) > 3 and not quiet
  gives likely number, reason text
  wait 800ms
let f(x: text, y: list<User>?) = -x ?? y // 3 % 2 * (1 - 0.5) / 1e3
let g = [x of xs where x starts with "a" or x ends with /b\\/[/"]c/i]
let h = any x in y and all x not in y or none x > 3 and not fired link_flood
let i = 1 < a <= 2 and b is not missing and c is present and d not contains "e"
let j = geo[ip].country == "de" and {} == { a: [], `b c`: missing }
let k = count(message, fired link_flood by author as target ever before this where a reaches 3)
let n = rate(message by author per 1h within 30d resolution 1m before 1d ago)
let l = "a\\n\\u{1f600}\\\\ {x + f("}", "{y}")} {{}}" + "" + "\\"" + `odd name`
let m = true and false and author not labelled "x" and label_age(author, "x") > 2w
rule all on message, click
  mode shadow
  severity high
  formerly old, older
  then flag limit 3 every 1d
       exempt from link_flood, tag "x", all
       unlabel author "spammer" limit 1 per author, server every 1h - 1m
       send "sink"
rule nothing
test "steps"
  given label "spammer" on User "u1" for 3d
  given message
  given click { a: 1 } after 5m repeat 3 every 1s with spam = 0.9, toxic = 0.1
  expect not block
  expect block by all on event 3
  expect not fired link_flood on the first
  expect not label "spammer" on User "u1" on the last
  expect send "sink" never
  expect send "sink" 3 times
  expect send "sink"
  expect value messages_1m == 12 on the last
  expect message "3 {x}" by all
"""

ALL = CHAT + "\n" + MORE
