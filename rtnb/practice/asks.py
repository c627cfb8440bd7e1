"""What a request asks for: the words that ask, and the text they are about."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rtnb.practice import reading

__all__ = ["ask_of", "brief", "command_and_rest", "is_command", "standing"]

# What is asked, each with the words that ask it. The first that matches is answered, so what is narrow stands first.
_ASKS: dict[str, str] = {
    "exactly": r"\b(?:say|reply|respond|answer|output)\s+(?:only|exactly|just|with only|with exactly"
    r"|with just|with)\b",
    "translate": r"\btranslat|\bhow do (?:you|i) say\b|翻译|怎么说|\btradui|\btraduc|\btraduz|\bübersetz|翻訳",
    "classify": r"\b(?:classify|categori[sz]e|label|which of)\b",
    "summarise": r"\bsummar|\bsum (?:it |this |that )?up\b|\btl;?dr\b|\bgist\b|\b(?:main|key) (?:points?"
    r"|ideas?|message)\b"
    r"|\bwhat (?:is|was|'s) (?:this|it|that|the (?:audio|clip|recording)\b.*) (?:all )?about\b|\brecap\b"
    r"|总结|概括|摘要|\brésum|\bresum|\briassum|zusammenfass|fass\w* .*zusammen|要約|まとめ",
    "name_is": r"\bwhat(?:'s| is|s) my name\b|\bwho am i\b|\b(?:do you )?(?:remember|know) my name\b|我叫什么"
    r"|我的名字是什么"
    r"|comment je m['’]appelle|cómo me llamo|wie hei(?:ß|ss)e ich|come mi chiamo|私の名前は何|名前を覚えて",
    "said_first": r"\b(?:what|which)\b.*\bI\b.*\b(?:say|said|ask|asked|tell|told)\b.*\bfirst\b|\b(?:my"
    r"|the) first"
    r" (?:question|message|sentence|thing)|我(?:最先|首先|第一)|was habe ich zuerst|dit en premier|dije primero",
    "said_last": r"\bwhat (?:did|have) i (?:just )?(?:say|said|ask|asked|tell)\b"
    r"|\bwhat was my \w+ (?:question|message|sentence)"
    r"|\bwhat i (?:just )?said\b|我(?:刚才|刚刚)?说了什么|qu['’]est-ce que j['’]ai dit|qué (?:he dicho|dije)"
    r"|was habe ich (?:gerade )?gesagt|cosa ho detto",
    "talked": r"\bwhat (?:did|have|were) we (?:talk|discuss|speak|been talking|been discussing)\w*|我们(?:谈"
    r"|聊|说)了?什么"
    r"|worüber haben wir|de quoi avons-nous|de qué hablamos",
    "i_said": r"\bwhat did you (?:just )?say\b|\b(?:say|repeat) (?:that|it) again\b|\brepeat (?:that"
    r"|yourself|your (?:last )?answer)\b"
    r"|^\s*(?:pardon|sorry|come again|again)\s*\?|你(?:刚才)?说了?什么|再说一遍",
    "count_to": r"\bcount (?:from|to|up|down|back)",
    "count": r"\bhow many\b|\bcount\b|\bnumber of (?:words|sentences|clips|recordings|letters|messages)\b"
    r"|多少|几个|数一数"
    r"|\bcombien de\b|\bcuánt[ao]s\b|\bwie ?viele\b",
    "spell": r"\bspell\b|\bletter by letter\b|拼写|\bépel|\bdeletre|\bbuchstabier",
    "which_word": r"\b(?:first|last|longest|shortest) word\b",
    "reverse": r"\b(?:backwards?|in reverse|reversed?)\b",
    "transcribe": r"\btranscri|\bwrite (?:down|out) what\b|\bverbatim\b|\bword for word\b|\bwhat (?:is"
    r"|was) (?:being )?said\b"
    r"|\bwhat does (?:the|this|it|he|she|my)\b.*\bsay\b|\bwhat (?:is|was) (?:the )?(?:person|speaker|he"
    r"|she)\b.*\bsay"
    r"|\bwhat (?:did|do) you hear\b|转写|听到了?什么|\btranscris|\btranskrib|書き起こ",
    "repeat": r"\brepeat\b|\bsay (?:it|this|that) (?:back|again|after)\b|\becho\b|重复|跟读|\brépèt|\brepite"
    r"|\bwiederhol|\bripeti|繰り返",
    "practise": r"\b(?:something|thing|one thing|sentence|exercise)\b.*\bpractis\w*\b"
    r"|\bpractic\w*\b.*\b(?:thing|sentence|exercise)"
    r"|\bgive me (?:one|an) (?:thing|exercise)\b|\bthing to practi[cs]e\b|\bwhat should i practi[cs]e\b|练习一下",
    "say": r"^\W*(?:please |can you |could you |now |just )*(?:say|read(?: aloud| out)?"
    r"|pronounce)\b(?! (?:hello|hi)\b.*\bto\b)|请?说[：:“]",
    "clock": r"\bwhat(?:'s| is) the (?:time|date)\b|\bwhat time is it\b|\bwhat (?:day|date|month"
    r"|year) is (?:it|today)\b"
    r"|\btoday's date\b|现在几点|今天(?:几号|星期几)|quelle heure|qué hora|wie spät|wieviel uhr",
    "who": r"\bwho are you\b|\bwhat are you\b|\bare you (?:a|an|real|human|chatgpt|gpt|ai)\b|\bwhat(?:'s"
    r"| is) your name\b|\bintroduce yourself\b"
    r"|你是谁|你叫什么|qui es-tu|qui êtes-vous|quién eres|wer bist du|chi sei|あなたは誰",
    "can": r"\bwhat can you do\b|\bhow can you help\b|\bwhat do you do\b|\bhelp me\?|你能做什么"
    r"|que sais-tu faire|qué puedes hacer|was kannst du",
    "hear_you": r"\b(?:can|do|did) you hear (?:me|this|that)\b|\bare you (?:there|listening)\b|听得到|听见我"
    r"|m['’]entend|me oyes|hörst du mich",
    "fine": r"\bhow are you\b|\bhow(?:'s| is) it going\b|你好吗|comment (?:ça va|vas|allez)|cómo est[áa]s"
    r"|wie geht|come stai|元気",
    "invent": r"\b(?:tell|write|make|compose|sing|give|create|invent)\b.*\b(?:story|joke|poem|song|haiku"
    r"|rap|riddle|essay|letter)\b"
    r"|讲个?(?:笑话|故事)|写一?首",
    "ask_me": r"\bask me\b|\bquiz me\b|问我",
    "thanks": r"^\W*(?:ok(?:ay)?,? |great,? )?(?:thanks|thank you|cheers)\b|谢谢|^\W*merci\b|^\W*gracias\b"
    r"|^\W*danke\b|^\W*grazie\b|ありがとう",
    "bye": r"^\W*(?:ok(?:ay)?,? )?(?:good ?bye|bye|see you|good night)\b|再见|au revoir|\badiós\b"
    r"|auf wiedersehen|tschüss|arrivederci|さようなら",
    "greet": r"^\W*(?:hello|hi|hey|good (?:morning|afternoon|evening)|greetings|bonjour|salut|hola|hallo"
    r"|guten (?:tag|morgen)|ciao"
    r"|olá|你好|您好|こんにちは)(?![\w'-])|\b(?:greet|welcome|say (?:hello|hi)(?: to)?)\b",
}
_COMPILED = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _ASKS.items()}
# Asks that instructions can make of every answer ("You are an echo. Repeat what the user says.").
_STANDING = (
    "exactly",
    "translate",
    "classify",
    "summarise",
    "count",
    "spell",
    "reverse",
    "transcribe",
    "repeat",
    "say",
    "greet",
)
_IMPERATIVE = re.compile(
    r"^\W*(?:please|always|only|just|simply|now|then|first|you (?:must|should|will|only|always)"
    r"|your (?:task|job) is to|never)*\s*"
    r"(?:please|always|only|just|simply)?\s*(?:summar|sum|repeat|echo|translat|transcrib|count|spell"
    r"|greet|welcome|say|reply"
    r"|respond|answer|classif|categor|label|revers|output|read|write|总结|重复|翻译|回答)",
    re.IGNORECASE,
)


def brief(text: str) -> str:
    """What of a text is read as a request: its first and last sentences, none of them endless.

    The rules are regular expressions, some of which take the square of a sentence's length and more; nobody may
    stop the server with a sentence of 50,000 words.
    """
    if len(text) <= 400:
        return text
    parts = [part[:400] for part in reading.sentences(text)]
    return " ".join(parts if len(parts) <= 12 else [*parts[:6], *parts[-6:]])


def ask_of(text: str) -> str | None:
    """The name of what a text asks for; None where no rule knows it."""
    return next((name for name, pattern in _COMPILED.items() if pattern.search(text[:600])), None)


def is_command(text: str) -> bool:
    """Whether a text asks for something to be done, more than politeness."""
    ask = ask_of(text)
    return ask is not None and ask not in ("greet", "thanks", "bye", "fine")


def command_and_rest(text: str) -> tuple[str, str]:
    """Tell the request in a text from the text it is about: "Summarise this: …", "… Now count the words." """
    text = text[:20_000]
    lead = re.match(r"(?s)(.{3,120}?[^\d:])[:：]\s*(\S.{12,})$", text)
    if lead and ask_of(lead[1]):
        return lead[1], lead[2].strip(" \"'“”")
    marked = reading.quoted(text)
    if marked and max(map(len, marked)) > 12:
        longest = max(marked, key=len)
        outside = text.replace(longest, " ")
        if ask_of(outside):
            return outside, longest
    parts = reading.sentences(text)
    commands = [index for index, part in enumerate(parts) if is_command(part)]
    if commands and len(parts) > len(commands):
        rest = [part for index, part in enumerate(parts) if index not in commands]
        rest = [part for part in rest if len(reading.content(part)) >= 2]
        if rest:
            return " ".join(parts[index] for index in commands), " ".join(rest)
    return text, ""


def standing(instructions: Sequence[str]) -> tuple[str, str] | None:
    """What the instructions ask of this answer whatever the user says: the ask and the sentence that makes it."""
    for text in instructions:
        for sentence in reading.sentences(text):
            if re.search(
                r"\b(?:if|when|whenever|unless|in case)\b|如果|wenn|quand"
                r"|cuando",
                sentence,
                re.IGNORECASE,
            ):
                continue
            if not _IMPERATIVE.search(sentence):
                continue
            for name in _STANDING:
                if _COMPILED[name].search(sentence):
                    return name, sentence
    return None
