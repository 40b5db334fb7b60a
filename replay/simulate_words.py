"""What the simulated members say: small grammars of sentences, by language and subject.

A sentence is text with `{slot}` holes; a slot is alternatives parted by `|`. What the campaigns say is in
`simulate_plots`.
"""

# ruff: noqa: RUF001 - sentences in other languages stand in their own letters

from __future__ import annotations

SLOTS: dict[str, dict[str, str]] = {
    "en": {
        "game": "Farwater|Rustline|Iron Harvest League|Duskfall|Pixel Kart|Moonlit Tactics|Harrowgate"
        "|Skyforge Duel"
        "|Tiny Trawlers|Last Lantern|Cinderpath|Copper Crown",
        "who": "my brother|someone in the queue|the tank|our healer|my roommate|the new guy"
        "|a friend from work|my sister"
        "|the whole squad|my cousin|the other team|my neighbour|that streamer|the support",
        "did": "quit halfway through|carried us to the end|forgot the key again|bought the wrong skin"
        "|rage quit"
        "|finally hit diamond|lost the map|found the hidden door|disconnected twice|slept through the raid"
        "|picked the worst loadout|saved the round",
        "when": "last night|this morning|yesterday|over the weekend|on Tuesday|an hour ago"
        "|before the update|after dinner"
        "|during the break|at lunch|around midnight|the other day",
        "adj": "surprisingly good|a bit rough|much better now|kind of broken|really pretty"
        "|slower than before|hilarious"
        "|way too long|worth it|underrated|confusing at first|calming|a lot of work|not what I expected",
        "thing": "the new map|this keyboard|the second season|that soundtrack|the tutorial|my build"
        "|the crafting system"
        "|the ranked queue|the photo mode|this recipe|the ending|the beta|my setup|the patch"
        "|the tournament bracket",
        "plan": "run the dungeon|play a few rounds|watch the finals|finish the essay|clean the garage"
        "|test the build"
        "|draw for an hour|cook something new|practise scales|read the next chapter|fix my bike"
        "|learn the bass line",
        "tool": "the parser|the build script|pandas|the linter|Docker|the test suite|my CSS|the migration"
        "|git rebase"
        "|the type checker|the cache|asyncio|the database index",
        "fault": "fails on Windows only|takes forty seconds|returns an empty list|works on the second try"
        "|eats all my memory"
        "|prints the wrong line|breaks when the file is empty|hangs after login|ignores the config"
        "|passes locally and fails in CI",
        "art": "the shading on the coat|the background|those hands|the colours|the line work"
        "|the perspective|the eyes"
        "|the water|the lettering|the lighting from the left",
        "song": "the bridge|that bass line|the second verse|the drum fill|the intro|the harmony|the outro"
        "|the live version",
        "food": "lentil soup|pancakes|a huge lasagne|ramen from scratch|sourdough|fried rice|apple cake"
        "|chickpea curry"
        "|dumplings|tomato salad",
        "lesson": "the cell diagram|exercise 4b|the essay outline|the vocabulary list|chapter seven"
        "|the lab report"
        "|quadratic equations|the poem|the history timeline",
        "hi": "hey|hi|hello|morning|evening|yo|hiya|good day",
        "all": "everyone|all|folks|people|friends|everybody",
        "soft": "honestly|I think|to be fair|not going to lie|imo|maybe it is just me but|tbh"
        "|as far as I can tell",
        "num": "two|three|four|five|six|seven|nine|ten|a dozen|twenty|40|100|300",
        "place": "in the park|on the train|at the library|in my kitchen|at the arena|near the station"
        "|in the garden|at work",
    },
    "de": {
        "ding": "das neue Update|die Karte|der Soundtrack|mein Rechner|die Warteschlange|das Turnier"
        "|die letzte Folge"
        "|der Kuchen|die Hausaufgabe|der Bosskampf",
        "ist": "ist echt gut geworden|nervt ein bisschen|läuft endlich stabil|ist viel zu lang"
        "|macht richtig Spaß"
        "|ist schwerer als gedacht|sieht wunderschön aus|dauert ewig",
        "wann": "gestern Abend|heute früh|am Wochenende|vorhin|nach der Arbeit|in der Pause|letzte Woche"
        "|um Mitternacht",
        "tat": "gekocht|drei Runden gespielt|das Fahrrad repariert|die Prüfung geschrieben"
        "|einen Film geschaut"
        "|für die Klausur gelernt|ein Bild gemalt|den Server neu gestartet",
    },
    "es": {
        "cosa": "el mapa nuevo|la actualización|el torneo|mi teclado|la segunda temporada|el tutorial"
        "|la banda sonora"
        "|el examen|la partida de ayer|el parche",
        "es": "está muy bien|va bastante lento|me encanta|es más difícil de lo que pensaba|por fin funciona"
        "|se me hizo corto|necesita un arreglo|vale la pena",
        "cuando": "anoche|esta mañana|el domingo|después de cenar|hace un rato|en el recreo"
        "|la semana pasada|al salir",
        "hice": "jugué tres partidas|terminé el trabajo|vi la final|cociné arroz|estudié toda la tarde"
        "|dibujé un dragón|salí a correr|arreglé la bici",
    },
    "fr": {
        "chose": "la nouvelle carte|la mise à jour|le tournoi|mon clavier|la saison deux|le tutoriel"
        "|la bande-son"
        "|le devoir de maths|le patch|la partie d'hier",
        "est": "est vraiment réussie|rame un peu|me plaît beaucoup|est plus dur que prévu|marche enfin"
        "|vaut le détour|est trop court|mérite mieux",
        "quand": "hier soir|ce matin|ce week-end|tout à l'heure|après le dîner|pendant la pause|lundi|à midi",
        "fait": "joué trois parties|fini mon exposé|regardé la finale|fait une tarte|révisé tout l'après-midi"
        "|dessiné un renard|couru dix kilomètres|réparé mon vélo",
    },
    "pt": {
        "coisa": "o mapa novo|a atualização|o torneio|meu teclado|a segunda temporada|o tutorial"
        "|a trilha sonora"
        "|a prova|a partida de ontem|o chefe final",
        "esta": "ficou muito bom|está meio lento|é mais difícil do que parece|finalmente funciona|vale a pena"
        "|é curto demais|precisa de ajuste|me surpreendeu",
        "quando": "ontem à noite|hoje cedo|no domingo|depois do jantar|agora há pouco|no intervalo"
        "|semana passada",
        "fiz": "joguei três partidas|terminei o trabalho|assisti à final|fiz feijão|estudei a tarde toda"
        "|desenhei um gato|corri no parque|consertei a bicicleta",
    },
    "ru": {
        "что": "новая карта|обновление|турнир|моя клавиатура|второй сезон|обучение|саундтрек|контрольная"
        "|вчерашний матч",
        "как": "очень понравилось|работает медленно|наконец без ошибок|сложнее, чем казалось|того стоит"
        "|слишком короткое"
        "|просто красота|надо бы поправить",
        "когда": "вчера вечером|сегодня утром|в выходные|после ужина|час назад|на перемене|на прошлой неделе",
        "делал": "сыграл три партии|дописал реферат|посмотрел финал|испёк пирог|учился весь день"
        "|нарисовал лису"
        "|починил велосипед|перезапустил сервер",
    },
    "tr": {
        "şey": "yeni harita|güncelleme|turnuva|klavyem|ikinci sezon|eğitim bölümü|müzikler|sınav|dünkü maç",
        "nasıl": "çok güzel olmuş|biraz yavaş|sonunda çalışıyor|düşündüğümden zor|buna değer|çok kısa"
        "|ışıl ışıl görünüyor",
        "zaman": "dün gece|bu sabah|hafta sonu|yemekten sonra|az önce|arada|geçen hafta",
    },
    "ja": {
        "物": "新しいマップ|アップデート|大会|キーボード|二期|チュートリアル|サントラ|テスト|昨日の試合",
        "感": "すごく良かった|ちょっと重い|やっと動いた|思ったより難しい|おすすめです|短すぎる|きれいですね",
        "時": "昨日の夜|今朝|週末|さっき|夕食のあと|休み時間|先週",
    },
}

SENTENCES: dict[str, dict[str, list[str]]] = {
    "en": {
        "general": [
            "{hi} {all}, anyone up to {plan} {when}?",
            "{soft} {thing} is {adj}",
            "I tried to {plan} {when} and it was {adj}",
            "{who} {did} {when}, I can't stop laughing",
            "we were {num} people {place} and {who} {did}",
            "does anybody know if {thing} is {adj}? asking for {who}",
            "made {food} {when}, {soft} it turned out {adj}",
            "going to {plan} first, then I will be back",
            "{thing} is {adj}, {thing} on the other hand is {adj}",
            "I have been trying to {plan} for {num} days",
            "can confirm, {who} {did} {when}",
            "weather is awful here so I will {plan} instead",
            "thanks for the help {when}, {thing} finally makes sense",
            "what did you all think of {thing}?",
            "my cat walked over {thing} and now it is {adj}",
            "just got back, what did I miss {place}?",
            "{food} {place} with {who}, best part of the week",
            "ok but {thing} being {adj} is not a hill I will die on",
        ],
        "gaming": [
            "{who} {did} in {game} {when}",
            "looking for {num} people to {plan} in {game}",
            "{game} is {adj} since the update",
            "{soft} {game} beats {game} any day",
            "patch notes for {game} say {thing} is {adj}, I doubt it",
            "which class is good for {game}? {who} says everything is {adj}",
            "{num} hours into {game} and {thing} is still {adj}",
            "gg, {who} {did} but we won anyway",
            "anyone else stuck after level {num} of {game}?",
            "I will stream {game} {when}, come and watch me lose",
            "bracket is up: {game} starts {when}, be there",
            "the {game} soundtrack while I {plan} is {adj}",
        ],
        "coding": [
            "{tool} {fault} and I have no idea why",
            "has anyone seen {tool} do this? it {fault}",
            "fixed it: {tool} was fine, {tool} {fault}",
            "I rewrote {tool} {when} and it is {adj}",
            "reading the docs of {tool}, {soft} they are {adj}",
            "tip: run {tool} before {tool}, otherwise it {fault}",
            "why would {tool} care about {num} empty lines",
            "{who} pushed to main {when}. {tool} {fault}",
            "pairing on {tool} {when}? I have {num} questions",
        ],
        "art": [
            "I love {art}, how long did it take?",
            "still fighting with {art}, it looks {adj}",
            "sketched {place} for {num} minutes, {art} came out {adj}",
            "does {art} read as {adj} or is it only me",
            "commission done {when}, {art} was {adj}",
            "reference photos {place} helped so much with {art}",
        ],
        "school": [
            "is {lesson} due tomorrow or on Friday?",
            "I did {lesson} {when}, number {num} is {adj}",
            "can someone explain {lesson}? I was away {when}",
            "thank you, {lesson} makes sense now",
            "our group still needs {num} pages for {lesson}",
            "studying {lesson} {place}, wish me luck",
        ],
        "music": [
            "{song} gives me chills every time",
            "practised {song} {when}, {soft} it is {adj}",
            "the mix is {adj} but {song} is too loud",
            "learning {song} on the {num}-string, fingers hurt",
            "who wants to jam {when}? I can bring {song}",
            "heard it live {when}: {song} was {adj}",
        ],
    },
    "de": {
        "general": [
            "{ding} {ist}",
            "ich habe {wann} {tat}",
            "moin zusammen, {ding} {ist}, oder?",
            "wir haben {wann} {tat}, war super",
            "weiß jemand, warum {ding} so hakt? {wann} ging es noch",
            "endlich Feierabend, {wann} {tat}",
            "{ding} {ist} und {ding} {ist}, mehr brauche ich nicht",
            "wer kommt mit? {wann} hat {ding} schon Spaß gemacht",
        ]
    },
    "es": {
        "general": [
            "{cosa} {es}",
            "{cuando} {hice}",
            "buenas, ¿alguien probó {cosa}? {es}",
            "{cuando} {hice} y {cosa} {es}",
            "¿quién se apunta {cuando}? {cosa} {es}",
            "no sé ustedes, pero {cosa} {es}",
            "jajaja {cuando} {hice}, qué cansancio",
        ]
    },
    "fr": {
        "general": [
            "{chose} {est}",
            "j'ai {fait} {quand}",
            "salut tout le monde, {chose} {est}",
            "{quand} j'ai {fait}, et {chose} {est}",
            "quelqu'un a testé ? {chose} {est} depuis {quand}",
            "franchement {chose} {est}",
        ]
    },
    "pt": {
        "general": [
            "{coisa} {esta}",
            "{quando} {fiz}",
            "oi gente, {coisa} {esta}",
            "{quando} {fiz} e {coisa} {esta}",
            "alguém mais acha que {coisa} {esta}?",
            "kkkk {quando} {fiz}, que dia",
        ]
    },
    "ru": {
        "general": [
            "{что} — {как}",
            "{когда} {делал}",
            "всем привет, {что}: {как}",
            "{когда} {делал}, а {что} — {как}",
            "кто-нибудь пробовал? {что} {как}",
            "честно говоря, {что} {как}",
            "кто со мной {когда}? {что} ждёт",
        ]
    },
    "tr": {
        "general": [
            "{şey} {nasıl}",
            "{zaman} denedim, {şey} {nasıl}",
            "selam millet, {şey} {nasıl} mi sizce?",
            "{zaman} {şey} vardı, {nasıl}",
        ]
    },
    "ja": {
        "general": [
            "{物}、{感}",
            "{時}{物}やりました。{感}",
            "{物}どう思う?私は{感}",
            "{時}の{物}、{感}ww",
        ]
    },
}

SHORT: dict[str, str] = {
    "en": "lol|same|yes|no way|gg|nice!|thanks|haha|true|brb|what|ok|+1|wait what|so good|good night|gm"
    "|sure|oof|no idea"
    "|congrats!|done|not yet|agreed|lmao|ty|np|exactly|this|why though",
    "de": "ja|nein|haha|stimmt|danke|gute Nacht|moin|genau|ach so|egal|kein Plan|lustig",
    "es": "jajaja|sí|no|gracias|vale|buenas|igual|qué risa|exacto|ni idea|buenas noches",
    "fr": "mdr|oui|non|merci|salut|pareil|exact|aucune idée|bonne nuit|bien vu",
    "pt": "kkkk|sim|não|valeu|oi|também acho|boa noite|verdade|sei lá",
    "ru": "да|нет|ахах|спасибо|привет|точно|не знаю|спокойной ночи|согласен|круто",
    "tr": "evet|hayır|hahaha|teşekkürler|selam|aynen|bilmiyorum|iyi geceler",
    "ja": "はい|いいえ|ww|ありがとう|おはよう|たしかに|わからない|おやすみ|了解",
}

EMOJI = "😂|❤️|🔥|👍|😭|🎉|👀|🙏|😅|🥲|✨|💀|🫡|🤔|🐈|🍜|🎮|🎨|☕|👩‍💻"

CODE = [
    "```python\nfor row in rows:\n    print(row['name'], row.get('age'))\n```",
    "```js\nconst total = items.reduce((a, b) => a + b.price, 0);\n```",
    "```\nTypeError: unsupported operand type(s) for +: 'int' and 'str'\n```",
    "```sql\nselect day, count(*) from visits group by day order by day;\n```",
    "```sh\ngit fetch origin && git rebase origin/main\n```",
    "`pip install -e .` and then `pytest -x`",
    "```rust\nlet n: u32 = line.trim().parse().unwrap_or(0);\n```",
]

# Where people really link to: (host and path stem, how often).
SITES: list[tuple[str, int]] = [
    ("https://www.youtube.com/watch?v=", 30),
    ("https://youtu.be/", 14),
    ("https://github.com/{w}/{w}/issues/", 10),
    ("https://en.wikipedia.org/wiki/{W}_", 10),
    ("https://store.steampowered.com/app/", 8),
    ("https://open.spotify.com/track/", 8),
    ("https://www.twitch.tv/{w}", 6),
    ("https://imgur.com/a/", 6),
    ("https://www.reddit.com/r/{w}/comments/", 7),
    ("https://docs.python.org/3/library/{w}.html#", 4),
    ("https://stackoverflow.com/questions/", 4),
    ("https://docs.google.com/document/d/", 4),
    ("https://www.bbc.co.uk/news/{w}-", 3),
    ("https://{w}.itch.io/{w}", 3),
    ("https://bit.ly/", 2),
]

LINK_INTRO: dict[str, str] = {
    "en": "look at this|found it|here you go|this one|from earlier|sauce|relevant|the clip I meant"
    "|worth a read",
    "de": "schaut mal|hier der Link|meinte das hier|passt dazu",
    "es": "miren esto|aquí está|el enlace|este vídeo",
    "fr": "regardez|voilà le lien|c'est ça|à lire",
    "pt": "olha isso|achei|segue o link|esse vídeo",
    "ru": "смотрите|вот ссылка|нашёл|почитать",
    "tr": "şuna bakın|link burada|buldum",
    "ja": "これ見て|リンクです|見つけた",
}

NEWCOMER: dict[str, str] = {
    "en": "hi everyone, just found this place|hello! new here, where do I start?"
    "|hey all, a friend sent me the invite"
    "|hi, is this the right channel for questions?|first day here, you seem nice"
    "|good evening, new member here",
    "de": "hallo zusammen, bin neu hier|moin, ein Freund hat mich eingeladen|hi, wo fange ich am besten an?",
    "es": "hola a todos, soy nuevo|buenas, me invitó un amigo|hola, ¿por dónde empiezo?",
    "fr": "bonjour à tous, je suis nouveau|salut, un ami m'a invité|bonsoir, par où commencer ?",
    "pt": "oi, sou novo aqui|olá pessoal, um amigo me chamou|boa noite, por onde começo?",
    "ru": "всем привет, я новенький|здравствуйте, меня пригласил друг|привет, с чего начать?",
    "tr": "merhaba, yeni geldim|selam, arkadaşım davet etti",
    "ja": "はじめまして、よろしくお願いします|友達に誘われて来ました",
}

FIRST_NAMES: dict[str, str] = {
    "en": "Alice|Ben|Chloe|Daniel|Erin|Frank|Grace|Henry|Isla|Jack|Kate|Liam|Megan|Noah|Olive|Priya|Quinn"
    "|Rosa|Sam|Tara"
    "|Uma|Victor|Wendy|Yusuf|Zoe",
    "de": "Anna|Bernd|Clara|Dieter|Emil|Frieda|Greta|Hannes|Ida|Jonas|Karla|Lukas|Mia|Nils|Otto|Paula",
    "es": "Ana|Bruno|Carmen|Diego|Elena|Felipe|Gloria|Hugo|Inés|Javier|Lucía|Mateo|Nuria|Pablo",
    "fr": "Amélie|Benoît|Camille|Denis|Élodie|Florent|Gaëlle|Hugo|Inès|Jules|Léa|Mathis",
    "pt": "Ana|Beatriz|Caio|Davi|Elisa|Fábio|Gabi|Heitor|Iara|João|Larissa|Miguel",
    "ru": "Алексей|Борис|Вера|Галина|Дмитрий|Елена|Иван|Ксения|Лев|Мария|Никита|Ольга|Павел|Рита",
    "tr": "Ayşe|Burak|Cem|Defne|Emre|Fatma|Işıl|Kerem|Mert|Nazlı",
    "ja": "ひなた|はると|さくら|ゆうと|あおい|れん|めい|そら",
}

NAME_HEAD = (
    "quiet|lucky|sleepy|tiny|brave|mellow|salty|neon|dusty|frosty|clever|odd|rapid|velvet|lone|solar|paper"
    "|ginger|wild"
    "|gentle"
)
NAME_TAIL = (
    "fox|otter|moss|comet|raven|pixel|teapot|badger|violet|maple|harbor|lynx|penguin|cactus|wizard|noodle"
    "|anchor|robin"
    "|ember|goose"
)

BIOS = (
    "he/him, plays support|she/her · illustrator|they/them, chronically tired|dad of two, bad at shooters"
    "|learning Rust"
    "|coffee first|cat person|night owl, UTC+1|student, physics|I collect maps|ask me about trains|drummer|||"
)

# Servers in order of size: name, language, hours its people are ahead of UTC, subject.
SERVERS: list[tuple[str, str, int, str]] = [
    ("Farwater Official", "en", -5, "gaming"),
    ("The Lantern Inn", "en", 0, "general"),
    ("Padaria Gamer", "pt", -3, "gaming"),
    ("Python Study Hall", "en", -8, "coding"),
    ("Deutsche Kartenrunde", "de", 1, "general"),
    ("Русская гостиная", "ru", 3, "general"),
    ("Class 9b", "en", 0, "school"),
    ("Sala de Juegos", "es", -6, "gaming"),
    ("Canvas & Ink", "en", 1, "art"),
    ("Le Café Pixel", "fr", 1, "gaming"),
    ("Türk Oyuncular", "tr", 3, "gaming"),
    ("ことりカフェ", "ja", 9, "general"),
    ("Bass Cave", "en", -5, "music"),
    ("Rustline Trading Post", "en", -8, "gaming"),
    ("Indie Devs United", "en", 2, "coding"),
    ("Clube do Mapa", "pt", -3, "general"),
    ("Duskfall Speedruns", "en", 0, "gaming"),
    ("Home Cooks", "en", -5, "general"),
    ("Zeichenstube", "de", 1, "art"),
    ("Школа шахмат", "ru", 3, "school"),
    ("Weekend Hikers", "en", -7, "general"),
    ("Cine y Palomitas", "es", -5, "general"),
    ("Open Source Harbour", "en", 1, "coding"),
    ("Bird Watchers", "en", 0, "general"),
]

MAIL = (
    "gmail.com|gmail.com|gmail.com|gmail.com|outlook.com|outlook.com|yahoo.com|proton.me|gmx.de|web.de"
    "|icloud.com|mail.ru"
    "|orange.fr|uol.com.br|hotmail.es|posteo.de"
)
