"""What a request asks for: the words that ask, and the text they are about."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rtnb.server.languages import together
from rtnb.server.responder import chinese, text_extraction

__all__ = ["ask_of", "brief", "command_and_rest", "is_command", "is_question", "standing", "unconditional"]

# What is asked, each with the words that ask it. The first that matches is answered, so what is narrow stands first.
_ASKS: dict[str, str] = {
    "exactly": r"\b(?:say|reply|respond|answer|output)\s+(?:only|exactly|just|with only|with exactly"
    r"|with just|with)\b|^\W*请?(?:你)?只(?:说|回答|回复|需?要?说)",
    "translate": r"\btranslat|\bhow do (?:you|i) say\b|翻译|怎么说|\btradui|\btraduc|\btraduz|\bübersetz|翻訳",
    "classify": r"\b(?:classify|categori[sz]e|label|which of)\b|归类|分类",
    "summarise": r"\bsummar|\bsum (?:it |this |that )?up\b|\btl;?dr\b|\bgist\b|\b(?:main|key) (?:points?"
    r"|ideas?|message)\b"
    r"|\bwhat (?:is|was|'s) (?:this|it|that|the (?:audio|clip|recording)\b.*) (?:all )?about\b|\brecap\b"
    r"|总结|概括|摘要|归纳|小结|大意|要点|主要(?:内容|意思|讲|说)|讲的是什么|关于什么"
    r"|\brésum|\bresum|\briassum|zusammenfass|fass\w* .*zusammen|要約|まとめ",
    "passage": r"\b(?:repeat|transcribe|read|say|quote|write|give)\b.*"
    r"\b(?:first|last)\s+(?:[\w-]+\s+)?(?:words|sentences?)\b"
    rf"|(?:复述|重复|转[写录]|写|读|念|说).*(?:[前头]|最后|末尾?)(?:\d+|{chinese.NUMERAL})个?(?:单?词|字|句)"
    r"|(?:复述|重复|转[写录]|写|读|念).*第一句",
    "which_language": r"\b(?:which|what) languages?\b(?!.*\byou\b)|什么语言|哪[种国门]?语言|什么话[?？]"
    r"|quelle langue|qué idioma|welche sprache",
    "name_is": r"\b(?:user|customer|caller|speaker|person|guest)(?:['’]?s)? name\b"
    r"|\bname of the (?:user|customer|caller|person)\b"
    r"|(?:用户|客户|顾客|来电者|对方|客人).{0,2}(?:叫什么|名字|是谁)"
    r"|\bwhat(?:'s| is|s) my name\b|\bwho am i\b|\b(?:do you )?(?:remember|know) my name\b|我叫(?:什么|啥)"
    r"|我的名字(?:是什么|吗)|我是谁|(?:记得|知道)我(?:叫|的名字|是谁)"
    r"|comment je m['’]appelle|cómo me llamo|wie hei(?:ß|ss)e ich|come mi chiamo|私の名前は何|名前を覚えて",
    "said_first": r"\b(?:what|which)\b.*\bI\b.*\b(?:say|said|ask|asked|tell|told)\b.*\bfirst\b|\b(?:my"
    r"|the) first"
    r" (?:question|message|sentence|thing)"
    r"|我的?(?:最先|首先|最开始|一开始|第一(?:句话?|次|个问题|条消息)).{0,6}[说问讲是]"
    r".{0,4}(?:什么|[?？])|was habe ich zuerst|dit en premier|dije primero",
    "said_last": r"\bwhat (?:did|have) i (?:just )?(?:say|said|ask|asked|tell)\b"
    r"|\bwhat was my \w+ (?:question|message|sentence)"
    r"|\bwhat i (?:just )?said\b"
    r"|我(?:刚才|刚刚|上一?句话?|最后(?:一句话?)?|第[^一我]{1,3}[句次条]话?)?[说问讲](?:了|的是|过)?(?:些)?什么"
    r"|我的?(?:上一?|最后一|第[^一我]{1,3})(?:句话?|条消息|个问题)是什么"
    r"|qu['’]est-ce que j['’]ai dit|qué (?:he dicho|dije)"
    r"|was habe ich (?:gerade )?gesagt|cosa ho detto",
    "talked": r"\bwhat (?:did|have|were) we (?:talk|discuss|speak|been talking|been discussing)\w*"
    r"|我们.{0,3}(?:谈|聊|说|讨论)[了过到]{0,2}些?什么"
    r"|worüber haben wir|de quoi avons-nous|de qué hablamos",
    "i_said": r"\bwhat did you (?:just )?say\b|\b(?:say|repeat) (?:that|it) again\b|\brepeat (?:that"
    r"|yourself|your (?:last )?answer)\b"
    r"|^\s*(?:pardon|sorry|come again|again)\s*\?|你(?:刚才|刚刚)?说了?什么|再说一[遍次]",
    "count_to": r"\bcount (?:from|to|up|down|back)"
    rf"|从\s*(?:\d+|{chinese.NUMERAL})\s*(?:开始)?(?:倒着?)?[数到]|数到\s*(?:\d|{chinese.NUMERAL})|倒着?数(?!第)",
    "count": r"\bhow many\b|\bcount\b|\bnumber of (?:words|sentences|clips|recordings|letters|messages)\b"
    r"|多少|几[个句段次条遍]|数一数"
    r"|\bcombien de\b|\bcuánt[ao]s\b|\bwie ?viele\b",
    "spell": r"\bspell\b|\bletter by letter\b|拼写|怎么拼|逐个字母|\bépel|\bdeletre|\bbuchstabier",
    "which_word": r"\b(?:first|last|longest|shortest) word\b|(?:第一|最后一?|最长的?|最短的?)个?(?:单?词|字)(?!典)",
    "reverse": r"\b(?:backwards?|in reverse|reversed?)\b|倒(?:过来|着)[说读念]|反过来[说读念]",
    "transcribe": r"\btranscri|\bverbatim\b|\bword[ -](?:for|by)[ -]word\b|\bspeech to text\b|\bdictation\b"
    r"|\b(?:write|type|give|show|tell|say|read|repeat|quote|recite|copy|what (?:is|are|was|were)|have)\b.*"
    r"\b(?:every (?:single )?word|(?:exact|full|actual) (?:words?|text)|in full"
    r"|(?:words|text|wording) (?:of|in) (?:the|this|that))\b"
    r"|\b(?:turn|put|convert|change|transform)\b.*\b(?:in)?to (?:text|writing|words)\b"
    r"|^\W*(?:please )?(?:subtitle|caption|recite)s?\b"
    r"|\b(?:write|type|copy)\b.{0,12} (?:down|out)\b"
    r"|\b(?:write|type|tell me|read|say|repeat)\b.{0,12}\bwhat(?:ever)? (?:you hear|you heard|is heard)\b"
    r"|\bwhat(?:'s| exactly)? (?:is|was|has been)?\s?(?:being |exactly )?said\b"
    r"|\bwhat (?:exactly |all )?(?:is|are|was|were|does|do|did|has|have)\b"
    r"(?!.*\babout\b)(?! you\b).{1,30}\b(?:say|saying|said)\b"
    r"|\bwhat (?:did|do) you hear\b|\bwhat(?:'s| is) (?:in|on) (?:the|this|that) (?:audio|recording|clip|file|tape)\b"
    r"|转[写录]|逐[字句词]|听写|一字[不一]|[成为换]文[字本]|文字[稿版]|原[话文]|全文|[写打记录][下出]来(?!了)|[念读]一遍|[照跟]着[念读说]"
    r"|内容是什么|(?:录音|音频|片段|语音|声音|话|里面?).{0,6}[说讲](?:了|的是|了些)?些?(?:什么|啥)|听到了?些?(?:什么|啥)"
    r"|(?:[他她它人]|[人他她]们|对方|男的|女的).{0,3}[说讲](?:了|的是|着)?些?(?:什么|啥)(?![都也])"
    r"|\btranscris|\btranskrib|書き起こ",
    "repeat": r"\brepeat\b|\bsay (?:it|this|that) (?:back|again|after)\b|\becho\b"
    r"|\b(?:say|read|speak)\b.{0,20}\bafter me\b"
    r"|重复|复述|跟读|跟我[说读念]"
    r"|\brép[éè]t|\brepite"
    r"|\bwiederhol|\bripeti|繰り返",
    "practise": r"\b(?:something|thing|one thing|sentence|exercise)\b.*\bpractis\w*\b"
    r"|\bpractic\w*\b.*\b(?:thing|sentence|exercise)"
    r"|\bgive me (?:one|an) (?:thing|exercise)\b|\bthing to practi[cs]e\b|\bwhat should i practi[cs]e\b"
    r"|练习一下|[给让]我.{0,8}练(?:习|一)|(?:该|可以)练习?什么",
    "say": r"^\W*(?:please |can you |could you |now |just )*(?:say|read(?: aloud| out)?"
    r"|pronounce)\b(?! (?:hello|hi)\b.*\bto\b)|^\W*请?[说读念](?:一[下遍])?\s*[：:“\"]",
    "clock": r"\bwhat(?:'s| is) the (?:time|date)\b|\bwhat time is it\b|\bwhat (?:day|date|month"
    r"|year) is (?:it|today)\b"
    r"|\btoday's date\b|现在是?几点|几点(?:钟|了)"
    r"|今天是?(?:几[号月]|星期几|礼拜几|周几|什么日子)|quelle heure|qué hora|wie spät|wieviel uhr",
    "who": r"\bwho are you\b|\bwhat are you\b|\bare you (?:a|an|real|human|chatgpt|gpt|ai)\b|\bwhat(?:'s"
    r"| is) your name\b|\bintroduce yourself\b"
    r"|你是谁|你叫什么|qui es-tu|qui êtes-vous|quién eres|wer bist du|chi sei|あなたは誰",
    "can": r"\bwhat can you do\b|\bhow can you help\b|\bwhat do you do\b|\bhelp me\?"
    r"|你(?:能|会|可以)(?:做|干|帮我)?(?:些|做些)?什么"
    r"|que sais-tu faire|qué puedes hacer|was kannst du",
    "hear_you": r"\b(?:can|do|did) you hear (?:me|this|that)\b|\bare you (?:there|listening)\b|听得[到见]|听[见到]我"
    r"|m['’]entend|me oyes|hörst du mich",
    "fine": r"\bhow are you\b|\bhow(?:'s| is) it going\b|你好吗|comment (?:ça va|vas|allez)|cómo est[áa]s"
    r"|wie geht|come stai|元気",
    "invent": r"\b(?:tell|write|make|compose|sing|give|create|invent)\b.*\b(?:story|joke|poem|song|haiku"
    r"|rap|riddle|essay|letter)\b"
    r"|[讲说编写]一?[个段则]?(?:笑话|故事|谜语)|[写作唱编]一?首",
    "ask_me": r"\bask me\b|\bquiz me\b|问我",
    "thanks": r"^\W*(?:ok(?:ay)?,? |great,? )?(?:thanks|thank you|cheers)\b|谢谢|^\W*merci\b|^\W*gracias\b"
    r"|^\W*danke\b|^\W*grazie\b|ありがとう",
    "bye": r"^\W*(?:ok(?:ay)?,? )?(?:good ?bye|bye|see you|good night)\b|再见|au revoir|\badiós\b"
    r"|auf wiedersehen|tschüss|arrivederci|さようなら",
    "greet": r"^\W*(?:嗨|早上好|下午好|晚上好|大家好)|问候用户"
    r"|^\W*(?:hello|hi|hey|good (?:morning|afternoon|evening)|greetings|bonjour|salut|hola|hallo"
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
    r"|respond|answer|classif|categor|label|revers|output|read|write|总结|重复|翻译|回答)"
    # 请你用中文总结…, 把用户的话重复一遍
    r"|^\W*(?:请|你|您|要|应该|必须|总是|始终|一律|只|都|用[^，。！？]{1,6}?|[把将对][^，。！？]{1,12}?)*\s*"
    r"(?:总结|概括|归纳|重复|复述|翻译|转写|拼写|分类|归类|问候|回答|回复|只?说)",
    re.IGNORECASE,
)


def brief(text: str) -> str:
    """What of a text is read as a request: its first and last sentences, none of them endless.

    The rules are regular expressions, some of which take the square of a sentence's length and more; nobody may
    stop the server with a sentence of 50,000 words.
    """
    if len(text) <= 400:
        return text
    parts = [part[:400] for part in text_extraction.sentences(text)]
    return " ".join(parts if len(parts) <= 12 else [*parts[:6], *parts[-6:]])


def ask_of(text: str) -> str | None:
    """The name of what a text asks for; None where no rule knows it."""
    return next((name for name, pattern in _COMPILED.items() if pattern.search(text[:600])), None)


def is_command(text: str) -> bool:
    """Whether a text asks for something to be done, more than politeness."""
    ask = ask_of(text)
    return ask is not None and ask not in ("greet", "thanks", "bye", "fine")


def is_question(text: str) -> bool:
    """Whether a text asks something, in one of a few languages."""
    return bool(
        re.search(
            r"[?？]\s*$|^\W*(?:what|who|where|when|why|how|which|whose|is|are|was|were|do|does|did|can"
            r"|could|would|will|should"
            r"|explain|tell me|describe|qui|que|quoi|où|comment|pourquoi|cuál|qué|quién|dónde|wer|wie|wo"
            r"|warum)\b|吗|什么|谁|哪|怎[么样]|多少|几[个点句次天岁]",
            text,
            re.IGNORECASE,
        )
    )


def command_and_rest(text: str) -> tuple[str, str]:
    """Tell the request in a text from the text it is about: "Summarise this: …", "… Now count the words." """
    text = text[:20_000]
    lead = re.match(rf"(?s)(.{{1,120}}?[^\d:：])[:：]\s*(\S.{{12,}}|[{chinese.LETTERS}].{{5,}})$", text)
    if lead and ask_of(lead[1]):
        return lead[1], lead[2].strip(" \"'“”")
    marked = text_extraction.quoted(text)
    longest = max(marked, key=len, default="")
    if len(longest) > (3 if re.match(rf"[{chinese.LETTERS}]", longest) else 12):
        outside = text.replace(longest, " ")
        if ask_of(outside):
            return outside, longest
    parts = text_extraction.sentences(text)
    commands = [index for index, part in enumerate(parts) if is_command(part)]
    if commands and len(parts) > len(commands):
        rest = [part for index, part in enumerate(parts) if index not in commands]
        rest = [part for part in rest if len(text_extraction.content(part)) >= 2]
        if rest:
            return together(parts[index] for index in commands), together(rest)
    return text, ""


def unconditional(text: str) -> list[str]:
    """The sentences of a text that hold always: without those that begin "if the user …"."""
    condition = r"\b(?:if|when|whenever|unless|in case)\b|如果|要是|当[^，。]*时|wenn|quand|cuando"
    return [
        sentence for sentence in text_extraction.sentences(text) if not re.search(condition, sentence, re.IGNORECASE)
    ]


def standing(instructions: Sequence[str]) -> tuple[str, str] | None:
    """What the instructions ask of this answer whatever the user says: the ask and the sentence that makes it."""
    for text in instructions:
        for sentence in unconditional(text):
            if not _IMPERATIVE.search(sentence):
                continue
            for name in _STANDING:
                if _COMPILED[name].search(sentence):
                    return name, sentence
    return None
