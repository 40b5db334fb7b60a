"""What the campaigns and the traps of the simulated day say, and the names and domains they use.

The slurs and the campaigns' domains are invented; domains under `.example` and `.test` can belong to
nobody (RFC 2606). Texts have `{slot}` holes and alternatives parted by `|`, as in `simulate_words`.
"""

from __future__ import annotations

SLURS = ("grobnik", "vlarsk", "skrunt", "plozzer", "dreckmar", "quandrel")
"""Placeholders with no meaning in any language: they stand for what nobody wants to read in a demo."""

SLUR_LINES = (
    "get out of here you {slur}|typical {slur}|nobody asked you, {slur}|all of you are {slur}s|shut up {slur}"
    "|what a filthy {slur}|{slur}s like you ruin this server|go back to where you came from {slur}"
    "|this {slur} again"
)

MOD_LINES = (
    "does the filter catch {slur} when it is stretched?|banned another one for writing {slur} {num} times"
    '|appeal says "{slur}" was a typo, I do not buy it|please add {slur} with digits to the word list'
    "|the word {slur} came up in {num} reports today, let us agree on a response"
)

REPORT_REASONS = (
    "spam links|posts the same thing everywhere|sent me a strange DM|insults people|pretends to be staff"
    "|keeps pinging everyone|scam|no idea but it looks fake"
)

SPAM_LINES = (
    "free boost for everyone, claim here {url}|I doubled my coins in {num} days, see {url}"
    "|LIMITED gift drop {url} be quick"
    "|hey check my private photos {url}|your skin is waiting {url} only today"
    "|last chance!! {url} mirror: {url}"
    "|earn {num} a day from home {url}|official giveaway {url} and {url}|cheap coins, instant delivery {url}"
    "|they give away {num} keys, got mine from {url}|vote for my team please {url}|steam gift 50$ {url}"
)

RAID_LINES = (
    "wake up losers|this server is ours now|everyone look here|raid raid raid|your mods are asleep"
    "|say hello to the night crew"
    "|we are {num} and we are bored|ping party|leave this dead server|you asked for it|hi hi hi hi hi"
)

FLOOD_LINES = [
    "The night crew owns this place and there is nothing your moderators can do about it",
    "Boycott the tournament, the organisers sold every ticket twice and keep your money",
    "Join the biggest trading group on the platform before they close the doors for good",
    "Every single one of you is being watched by the people who run this server, wake up",
    "Do not update the game, the new patch deletes all your saves and nobody will help you",
    "We want our channel back, copy this message and post it everywhere until they listen",
    "Send one coin to the wallet in my profile and receive ten coins back within the hour",
]

BURST_LINES = (
    "x{n}|buy now {n}|hello {n}|test {n}|{adj} {n}|look at my profile {n}|first|who wants to trade {n}"
    "|dm me {n}|{thing}"
    "|im {adj}|{num} left|last {num}|selling {thing} cheap"
)

SCAM_LINES = (
    "hi, are you the one who plays {game}? I think we met {when}"
    "|sorry to bother you, I accidentally reported your account, please talk to my contact: {url}"
    "|hello dear, I saw your profile {place} and I like your taste"
    "|would you test a game I made? it is here: {url}"
    "|I work from home and earn {num} hundred a week, can I show you how?"
    "|my friend made {thing}, can you vote for it? {url}"
    "|we could talk somewhere else, add me on telegram: @harb{n}"
    "|can I ask you something about {thing}? you seem kind"
    "|an investor group I am in has {num} places left, ask me"
)

STAFF_SCAM_LINES = (
    "Your account is scheduled for removal. Confirm your identity within {num} hours: {url}"
    "|This is the trust team. A report about {thing} was filed against you, verify here: {url}"
    "|We noticed a login from another country. Secure your account: {url}"
)

COPYPASTA = (
    "What did you just say about my little trawler? I will have you know I graduated top of my class at the"
    " harbour school"
    " and I have over 300 confirmed herrings. You are nothing to me but another buoy."
)

RELEASE_LINES = (
    "IT IS OUT {url}|finally!!! {url}|{url} go go go|it's live: {url}|who else is downloading? {url}"
    "|{url} see you in there"
    "|ten years I waited for this {url}|server queue already lol {url}|{url}|patch day one is {num} GB {url}"
)

TEACHER_LINES = (
    "please hand in {lesson} by tomorrow|reminder: {lesson} is due on Friday"
    "|these people still owe me {lesson}"
    "|groups for {lesson} as discussed|well done on {lesson}, results are in your folders"
)

ANNOUNCEMENTS = [
    "Maintenance tonight from 22:00 to 22:30 UTC. Status: https://status.harbour.example/maintenance",
    "Harbour 4.2 is here: faster search, better captions. Notes: https://blog.harbour.example/4-2",
    "The rules were updated, nothing scary: https://harbour.example/rules https://blog.harbour.example/rules",
]

ORGANISER_LINES = (
    "hi! reminder that the meetup starts {when}, details are pinned"
    "|you signed up for the bracket, can you still make it?"
    "|your team for the tournament is set, good luck"
    "|hello, the charity stream needs {num} volunteers, still interested?"
)

INNOCENT_WORDS = (
    "we are driving through Skruntham tomorrow, any tips?|Professor Grobnikova moved the exam"
    "|the Vlarskaya bakery is closed"
    "|my train to Plozzerfeld is late again|reading a novel by Dreckmarov, {adj}"
)

# Names the platform protects, and the people the traps are named after.
STAFF_NAMES = (
    "Harbour Support",
    "Harbour Staff",
    "Harbour Team",
    "Mira Lindqvist",
    "Tomas Okafor",
    "System Message",
)
ROLE_NAMES = ("Administrator", "Moderator", "Trust and Safety")
INNOCENT_NAMES = (
    "Admir",
    "Admira Hodzic",
    "Modesta",
    "Stafford",
    "Supriya",
    "Harper",
    "Mira",
    "Tomas Lind",
    "Systema",
    "Harald",
)

KNOWN_BAD_DOMAINS = (
    "free-boost-drop.example",
    "coin-doubler.example",
    "skin-vault.test",
    "gift-harbour.example",
    "hot-pics-now.test",
    "keys4you.example",
    "quick-coins.test",
    "vote-my-team.example",
)
"""Domains the platform has met before; the starter bundle lists them."""

FRESH_BAD_DOMAINS = (
    "harb0ur.example",
    "harbour-gifts.test",
    "harbuor.example",
    "harbour-login.test",
    "harbor-boost.example",
    "h\u0430rbour.example",
    "bonus-drop7.test",
    "drop-gift-11.example",
    "claimnow-22.test",
)
"""Registered for the campaigns of the day; the starter bundle has never heard of them."""

SHORTENERS = ("bit.ly", "tinyurl.com", "t.ly", "is.gd", "cutt.ly")

DISPOSABLE_MAIL = (
    "mailinator.com",
    "guerrillamail.com",
    "10minutemail.com",
    "yopmail.com",
    "trashmail.com",
    "temp-mail.org",
)
FRESH_DISPOSABLE_MAIL = ("inbox-4-now.example", "mail-gone.test")
