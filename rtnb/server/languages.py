"""Which language a text is in, by its script and its commonest words.

Rules are enough here: the practice server has to pick a voice and a set phrase, and a wrong guess costs an accent.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

__all__ = ["NAMES", "closed", "gap", "guess", "named", "runs", "together"]

# Unicode block ranges that belong to one language, or to a family in which we take the most spoken one.
_SCRIPTS: tuple[tuple[int, int, str], ...] = (
    (0x0370, 0x03FF, "el"),
    (0x1F00, 0x1FFF, "el"),
    (0x0400, 0x052F, "ru"),
    (0x0530, 0x058F, "hy"),
    (0x0590, 0x05FF, "he"),
    (0x0600, 0x06FF, "ar"),
    (0x0750, 0x077F, "ar"),
    (0x0900, 0x097F, "hi"),
    (0x0980, 0x09FF, "bn"),
    (0x0A00, 0x0A7F, "pa"),
    (0x0A80, 0x0AFF, "gu"),
    (0x0B80, 0x0BFF, "ta"),
    (0x0C00, 0x0C7F, "te"),
    (0x0C80, 0x0CFF, "kn"),
    (0x0D00, 0x0D7F, "ml"),
    (0x0D80, 0x0DFF, "si"),
    (0x0E00, 0x0E7F, "th"),
    (0x1000, 0x109F, "my"),
    (0x10A0, 0x10FF, "ka"),
    (0x1200, 0x137F, "am"),
    (0x1100, 0x11FF, "ko"),
    (0xAC00, 0xD7AF, "ko"),
    (0x3040, 0x30FF, "ja"),
    (0x31F0, 0x31FF, "ja"),
    (0x3400, 0x4DBF, "zh"),
    (0x4E00, 0x9FFF, "zh"),
    (0xF900, 0xFAFF, "zh"),
    (0x20000, 0x2FA1F, "zh"),
)

# Letters that one language of a script has and its neighbours have not.
_TELLING = {
    "ru": (("uk", "іїєґ"), ("be", "ў"), ("sr", "ђћљњџј"), ("kk", "әғқңөұүһ")),
    "ar": (("ur", "ٹڈڑںے"), ("fa", "پچژگ")),
}

# The commonest short words of languages in Latin script.
_WORDS = {
    "en": "the of and to in is you that it he was for on are with as his they be at this have from what how"
    " can do not your please my say tell me we our will would there hello hi thanks a an i am no so or if but"
    " us she her him has had did does were been who why when where which one two all any some more much many"
    " here now then up down out off over again too very good bad new go come get take make give put let see look"
    " find read write book open close start stop play call send set turn add pick roll name use try ask answer"
    " help buy order show draw sing check print run form plan yes yeah okay sorry pardon thank good morning"
    " night today tomorrow time day week year hour minute way idea word sentence question page line list number"
    " people person man men woman child friend name home school class lesson door window table room car water"
    " coffee tea food translate repeat spell count listen means",
    "fr": "le la les de des du un une et est que qui dans pour pas vous je ne ce il elle sur avec au aux "
    "bonjour"
    " merci nous sont où ça c'est votre mon ma oui très comment salut s'il plaît mais bien sais quel quelle"
    " j'ai j'aime suis avez voudrais peux combien pourquoi quand aujourd'hui demain bonne soir nuit au revoir"
    " l'heure n'est d'accord encore rien",
    "es": "el la los las de del un una y es que en por para no con su se lo al como más pero hola gracias "
    "está"
    " qué cómo yo usted tu mi muy sí dónde buenas días noches tardes favor quiero puedo tengo hay estoy"
    " eres soy bien cuánto cuándo quién mañana adiós pues también nada tiempo hace hora otra otro vez llamo entiendo"
    " sé",
    "de": "der die das und ist ich nicht ein eine zu den mit sich auf für von dem es sie wir du hallo "
    "danke bitte"
    " wie was auch im wo mein dein heute guten sind ja nein kann haben habe hast bin bist wer wann warum uhr"
    " morgen gut sehr noch mal kein keine gibt geht möchte will bitte tschüss abend nacht nichts alles weiß geht's"
    " heiße",
    "it": "il lo la gli di che è e un una in per non con sono mi si del della ciao grazie come cosa io tu "
    "questo"
    " dove molto ma anche oggi buongiorno buonasera sì favore vorrei posso sono hai ho che ore quanto quando"
    " perché domani bene niente ancora sto stai piacere scusi arrivederci cosa chi tempo fa dov'è capisco chiamo fame"
    " buonanotte",
    "pt": "o a os as de do da em um uma e é que não para com se por mais olá obrigado como eu você meu "
    "está muito"
    " onde isso no na bom boa dia noite tarde quero posso tenho quanto quando quem hoje amanhã adeus também nada"
    " tudo bem sou são estou faz tempo horas sim favor vez custa",
    "nl": "de het een en van is ik niet dat op te in zijn met voor je wij hallo dank wat hoe ook er maar waar mijn",
    "sv": "och att det är en som på jag inte för med av den till har hej tack vad hur du vi ett mitt",
    "da": "og at det er en som på jeg ikke for med af den til har hej tak hvad hvordan du vi et mit",
    "pl": "i w na nie to jest się z do że jak co po ale cześć dziękuję ja ty mój są czy",
    "tr": "ve bir bu da de için ne ben sen var merhaba teşekkürler çok nasıl mi değil ile",
    "fi": "ja on ei se että en hän mutta kun niin hei kiitos mitä minä sinä olen",
    "id": "dan yang di itu ini tidak saya kamu apa dengan untuk halo terima kasih ada",
    "vi": "là và của có không tôi bạn cho một những được xin chào cảm ơn gì",
    "cs": "a je to na se že v ne jsem ahoj děkuji jak co ale já ty jsou",
    "ro": "și este nu un o la cu pe care eu bună mulțumesc ce cum sunt",
    "hu": "és a az nem hogy egy is szia köszönöm mi én te van",
}
_COMMON = {language: frozenset(words.split()) for language, words in _WORDS.items()}
_MARKS = {
    "de": "ßäöü",
    "fr": "çêèœàùûîôë",
    "es": "ñ¿¡",
    "pt": "ãõ",
    "pl": "łąęśżźćń",
    "tr": "ğışİ",
    "cs": "řěůčž",
    "ro": "șțăâ",
    "hu": "őű",
    "sv": "å",
    "da": "øæ",
    "vi": "ăđơưạảấầẩẫậắằẳẵặẹẻẽếềểễệịỉĩọỏốồổỗộớờởỡợụủũứừửữựỳỵỷỹ",
    "it": "ìòè",
}

# What people call the languages, in English and in the language itself.
NAMES: dict[str, tuple[str, ...]] = {
    "en": ("English", "anglais", "inglés", "englisch", "英语", "英文"),
    "zh": ("Chinese", "Mandarin", "中文", "汉语", "普通话", "chinois", "chino", "chinesisch"),
    "fr": ("French", "français", "francés", "französisch", "法语", "法文"),
    "es": ("Spanish", "español", "espagnol", "spanisch", "西班牙语"),
    "de": ("German", "Deutsch", "allemand", "alemán", "德语", "德文"),
    "it": ("Italian", "italiano", "italien", "italienisch", "意大利语"),
    "pt": ("Portuguese", "português", "portugais", "portugués", "葡萄牙语"),
    "ja": ("Japanese", "日本語", "japonais", "japonés", "日语"),
    "ko": ("Korean", "한국어", "coréen", "coreano", "韩语"),
    "ru": ("Russian", "русский", "по-русски", "russe", "ruso", "俄语"),
    "nl": ("Dutch", "Nederlands"),
    "sv": ("Swedish", "svenska"),
    "da": ("Danish", "dansk"),
    "no": ("Norwegian", "norsk"),
    "fi": ("Finnish", "suomi"),
    "pl": ("Polish", "polski", "po polsku"),
    "cs": ("Czech", "česky"),
    "hu": ("Hungarian", "magyar"),
    "ro": ("Romanian", "română"),
    "el": ("Greek", "ελληνικά"),
    "tr": ("Turkish", "Türkçe"),
    "ar": ("Arabic", "العربية"),
    "he": ("Hebrew", "עברית"),
    "hi": ("Hindi", "हिन्दी"),
    "uk": ("Ukrainian", "українська"),
    "vi": ("Vietnamese", "tiếng Việt"),
    "id": ("Indonesian", "bahasa Indonesia"),
    "th": ("Thai", "ไทย"),
}


def _script(character: str) -> str | None:
    """The language of a character's script; "" for Latin letters, None for what belongs to any."""
    code = ord(character)
    if code < 0x0250:
        return "" if character.isalpha() else None
    for first, last, language in _SCRIPTS:
        if first <= code <= last:
            return language if character.isalnum() or language in ("th", "hi", "ar", "he") else None
    return "" if 0x1E00 <= code <= 0x1EFF else None


def _sharpen(language: str, text: str) -> str:
    low = text.casefold()
    for other, letters in _TELLING.get(language, ()):
        if any(letter in low for letter in letters):
            return other
    return language


def guess(text: str, default: str = "en") -> str:
    """Guess the language of a text.

    Args:
        text: Any text.
        default: What to answer where nothing tells, as for `"OK 42"`.

    Returns:
        An ISO 639-1 code such as `"en"`, `"zh"` or `"fr"`.
    """
    scripts = Counter(script for character in text[:4000] if (script := _script(character)) is not None)
    if not scripts:
        return default
    if scripts["ja"]:  # kana between Chinese characters make it Japanese
        scripts["ja"] += scripts.pop("zh", 0)
    # One Chinese character stands for a word, which Latin writes with about four letters.
    weights = {script: count * (4 if script in ("zh", "ja", "ko") else 1) for script, count in scripts.items()}
    top = max(weights, key=lambda script: weights[script])
    if top:
        return _sharpen(top, text)
    words = set(re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)?", text[:4000].casefold().replace("’", "'")))
    low = text[:4000].casefold()
    # "die", "no" and "a" are words of many languages: one of up to three plain letters is half a sign.
    scores = {
        language: sum(0.5 if len(word) <= 3 and word.isascii() else 1.0 for word in words & common)
        + 1.5 * sum(low.count(mark) for mark in _MARKS.get(language, ""))
        for language, common in _COMMON.items()
    }
    best = max(scores, key=lambda language: (scores[language], language == default, language == "en"))
    return best if scores[best] >= 1 else default


def runs(text: str, language: str) -> list[tuple[str, str]]:
    """Cut a text where its script changes to one the language is not written in.

    Args:
        text: One sentence.
        language: What the sentence as a whole is in.

    Returns:
        (language, text) pairs which joined give the text again. Latin words inside another script stay where they
        are, as most voices of such languages read them.
    """
    home = {"uk": "ru", "be": "ru", "sr": "ru", "kk": "ru", "bg": "ru", "ur": "ar", "fa": "ar"}.get(language, language)
    found: list[tuple[str, str]] = []
    for character in text:
        script = _script(character)
        foreign = script if script and script != home and not (home == "ja" and script == "zh") else None
        now = language if foreign is None else foreign
        if script is None and found:  # spaces, digits and marks stay with what they follow
            now = found[-1][0]
        if found and found[-1][0] == now:
            found[-1] = (now, found[-1][1] + character)
        else:
            found.append((now, character))
    return found


def named(text: str) -> list[str]:
    """The languages a text names, such as "answer in French" or "用中文回答".

    Returns:
        ISO 639-1 codes in the order in which they are named.
    """
    low = text.casefold()
    places: list[tuple[int, str]] = []
    for code, names in NAMES.items():
        for name in names:
            word = name.casefold()
            pattern = rf"(?<!\w){re.escape(word)}(?!\w)" if word.isascii() else re.escape(word)
            places += [(match.start(), code) for match in re.finditer(pattern, low)]
    return list(dict.fromkeys(code for _, code in sorted(places)))


# Chinese and Japanese characters and marks.
_UNSPACED = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]")


def gap(before: str, after: str) -> str:
    """What stands between two sentences: a space, but nothing between Chinese or Japanese ones."""
    if not before or before[-1].isspace() or after[:1].isspace() or _UNSPACED.match(before[-1]):
        return ""
    # 你说：“今天很冷”关于… : these quotation marks are those of English too.
    return "" if before[-1] in "”’" and _UNSPACED.match(after) else " "


def together(texts: Iterable[str]) -> str:
    """Sentences one after the other, with a space between them where their language has one."""
    said = ""
    for text in texts:
        said += gap(said, text) + text
    return said


def closed(text: str) -> str:
    """A text with a mark at its end."""
    if text[-1:] in ".!?。！？…":
        return text
    return text + ("。" if _UNSPACED.match(text[-1:]) else ".")
