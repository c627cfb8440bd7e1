"""Draw the figures of the course anew.

`python tests/make_figures.py` writes one SVG for each figure to notebooks/source/figures/, in which `{{words|文字}}`
stands for the words of each language, as in the sources of the notebooks, and the course's map beside the two READMEs.

A figure is a light card with a border, so that it reads alike on a light and on a dark page, and 480 units wide, so
that its words can still be read on a telephone.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from rtnb import models

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
WIDTH = 480
INK, GREY, LINE, CARD = "#1f2328", "#57606a", "#8c959f", "#ffffff"
# What the learner's side does, what the server does, and what goes wrong or is lost: a line and a fill for each.
YOU, SERVER, LOST, PLAIN = ("#0550ae", "#ddf4ff"), ("#116329", "#dafbe1"), ("#a40e26", "#ffebe9"), (LINE, "#f6f8fa")
COLOURS = (YOU, SERVER, LOST, PLAIN)
SANS = "system-ui, 'Segoe UI', Roboto, 'PingFang SC', 'Microsoft YaHei', 'Noto Sans CJK SC', sans-serif"
MONO = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"

# Words of both languages; where both say the same, one string.
Words = str | tuple[str, str]
Colours = tuple[str, str]


def both(words: Words) -> str:
    """Words as they stand in a figure."""
    return html.escape(words if isinstance(words, str) else "{{" + "|".join(words) + "}}", quote=False)


class Drawing:
    """Figure that grows by boxes, arrows and words.

    Attributes:
        height: Its height, in units of which it is `WIDTH` wide.
        title: What it shows, for those who do not see it.
    """

    def __init__(self, height: int, title: Words) -> None:
        self.height = height
        self.title = title
        self._parts: list[str] = []

    def words(
        self,
        x: float,
        y: float,
        said: Words,
        *,
        anchor: str = "start",
        size: int = 14,
        mono: bool = False,
        colour: str = INK,
        bold: bool = False,
    ) -> None:
        """Write words on a base line; those of code in a monospaced font."""
        look = f'font-family="{MONO}" ' * mono + 'font-weight="600" ' * bold
        at = f'x="{x:g}" y="{y:g}" text-anchor="{anchor}"'
        self._parts.append(f'<text {at} font-size="{size}" {look}fill="{colour}">{both(said)}</text>')

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *lines: Words,
        colours: Colours = PLAIN,
        mono: bool = False,
    ) -> None:
        """Draw a box with centred lines, the first in ink and the others smaller and grey."""
        line, fill = colours
        place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
        self._parts.append(f'<rect {place} rx="6" fill="{fill}" stroke="{line}" stroke-width="1.5"/>')
        top = y + height / 2 - 9 * (len(lines) - 1) + 5
        for n, said in enumerate(lines):
            small = {"size": 12, "colour": GREY} if n else {"mono": mono, "size": 13 if mono else 14}
            self.words(x + width / 2, top + 18 * n, said, anchor="middle", **small)  # type: ignore[arg-type]

    def line(self, *points: tuple[float, float], colour: str = LINE, dashed: bool = False, arrow: bool = False) -> None:
        """Draw a line through points, with an arrow at its end if need be."""
        path = "M" + " L".join(f"{x:g} {y:g}" for x, y in points)
        more = ' stroke-dasharray="4 4"' * dashed
        self._parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.5"{more}/>')
        if arrow:
            (x0, y0), (x, y) = points[-2:]
            dx, dy = ((x > x0) - (x < x0)) * 8, ((y > y0) - (y < y0)) * 8
            wings = f"{x - dx - dy / 2:g} {y - dy - dx / 2:g} L{x - dx + dy / 2:g} {y - dy + dx / 2:g}"
            self._parts.append(f'<path d="M{x:g} {y:g} L{wings} Z" fill="{colour}"/>')

    def arrow(self, x: float, y: float, to_x: float, said: Words, *, colour: str = LINE, mono: bool = True) -> None:
        """Draw a horizontal arrow with words above it."""
        self.line((x, y), (to_x, y), colour=colour, arrow=True)
        self.words((x + to_x) / 2, y - 6, said, anchor="middle", size=12, mono=mono, colour=INK)

    def bar(
        self, x: float, y: float, width: float, *, colours: Colours, height: float = 18, dashed: bool = False
    ) -> None:
        """Draw a stretch of time or a quantity."""
        line, fill = colours
        more = ' stroke-dasharray="4 3"' * dashed
        place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
        self._parts.append(f'<rect {place} rx="3" fill="{fill}" stroke="{line}" stroke-width="1.2"{more}/>')

    def svg(self) -> str:
        """The figure, with the words of both languages in it."""
        size = f'width="{WIDTH}" height="{self.height}" viewBox="0 0 {WIDTH} {self.height}"'
        frame = f'x="0.5" y="0.5" width="{WIDTH - 1}" height="{self.height - 1}" rx="8"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{SANS}">'
        card = f'<rect {frame} fill="{CARD}" stroke="#d0d7de"/>'
        return "\n".join([head, f"<title>{both(self.title)}</title>", card, *self._parts, "</svg>", ""])


# --- one a notebook ---------------------------------------------------------------------------------------------------


def path() -> Drawing:
    """From a recording to a voice: what notebook 1 does step by step."""
    it = Drawing(
        424,
        (
            "From the recording to the answer: PCM16, base64, append, commit, the prompt, response.create; "
            "then deltas, decoded, joined, played",
            "从录音到回答：PCM16、base64、append、commit、提示词、response.create；然后是增量、解码、拼接、播放",
        ),
    )
    left, right, wide, narrow = 14, 354, 166, 112
    it.words(left + wide / 2, 24, ("your notebook", "你的笔记本"), anchor="middle", bold=True, colour=YOU[0])
    it.words(right + narrow / 2, 24, ("server", "服务器"), anchor="middle", bold=True, colour=SERVER[0])
    it.words(267, 24, ("one WebSocket", "一条 WebSocket"), anchor="middle", size=12, colour=GREY)
    steps: list[Words] = [
        ("recording", "录音"),
        ("PCM16, 24 kHz, mono", "PCM16、24 kHz"),
        ("base64, in chunks", "base64，一块一块"),
        ("all of it is sent", "全部发完"),
        ("prompt", "提示词"),
        ("ask for an answer", "请求回答"),
        ("base64 → bytes", "base64 → 字节"),
        ("bytes joined", "字节拼接"),
        ("WAV, your ears", "WAV，你的耳朵"),
    ]
    for n, said in enumerate(steps):
        it.box(left, 38 + 42 * n, wide, 30, said, colours=YOU)
        if n not in (3, 4, 5, 8):
            it.line((left + wide / 2, 68 + 42 * n), (left + wide / 2, 80 + 42 * n), colour=YOU[0], arrow=True)
    across = [(2, "append, append …"), (3, "commit"), (4, "item.create"), (5, "response.create")]
    for n, said in across:
        it.arrow(left + wide, 53 + 42 * n, right, said, colour=YOU[0])
    it.box(right, 122, narrow, 30, ("input buffer", "输入缓冲区"), colours=SERVER)
    it.box(right, 164, narrow, 30, ("item: sound", "条目：声音"), colours=SERVER)
    it.box(right, 206, narrow, 30, ("item: words", "条目：文字"), colours=SERVER)
    it.box(right, 248, narrow, 72, ("response", "回答"), ("reads all items", "读取所有条目"), colours=SERVER)
    it.line((right + narrow / 2, 152), (right + narrow / 2, 164), colour=SERVER[0], arrow=True)
    it.arrow(right, 305, left + wide, "delta, delta …", colour=SERVER[0])
    it.line((right + narrow / 2, 320), (right + narrow / 2, 347), (left + wide, 347), colour=SERVER[0], arrow=True)
    it.words(267, 341, "response.done", anchor="middle", size=12, mono=True)
    return it


def items() -> Drawing:
    """What a session keeps, and what each response reads of it: notebook 2."""
    it = Drawing(
        232,
        (
            "A session is a list of items. Response 1 reads the first item; response 2 reads all three before it",
            "会话是一串条目。第 1 次回答读第一个条目；第 2 次回答读它前面的全部三个",
        ),
    )
    it.words(14, 26, ("session: a list of items", "会话：一串条目"), bold=True)
    rows: list[tuple[Words, Words, Colours]] = [
        ("user", ("“My name is Ada.”", "“我叫 Ada。”"), YOU),
        ("assistant", ("sound", "语音"), SERVER),
        ("user", ("“What is my name?”", "“我叫什么名字？”"), YOU),
        ("assistant", ("text", "文字"), SERVER),
    ]
    for n, (role, said, colours) in enumerate(rows):
        it.box(14, 38 + 46 * n, 218, 36, role, said, colours=colours, mono=True)
    readers: list[tuple[int, int, Words, Words]] = [
        (250, 0, ("response 1", "第 1 次回答"), ("reads 1 item", "读 1 个条目")),
        (350, 2, ("response 2", "第 2 次回答"), ("reads 3 items", "读 3 个条目")),
    ]
    for x, last, said, what in readers:
        top, end, made = 42, 70 + 46 * last, 56 + 46 * (last + 1)
        it.line((x - 6, top), (x, top), (x, end), (x - 6, end), colour=SERVER[0])
        it.line((x, end), (x, made), (236, made), colour=SERVER[0], arrow=True)
        it.words(x + 8, (top + end) / 2, said, size=13, bold=True, colour=SERVER[0])
        it.words(x + 8, (top + end) / 2 + 16, what, size=12)
    return it


def barge_in() -> Drawing:
    """Who is heard when two speak at once: notebook 3."""
    it = Drawing(
        420,
        (
            "Two time lines. With headphones you interrupt: the page is silent at once, and truncate tells the server "
            "what was played. With half duplex the microphone waits until the answer has been played",
            "两条时间线。戴耳机时可以打断：页面立刻安静，truncate 告诉服务器播放到了哪里。"
            "半双工时，麦克风等到回答播放完",
        ),
    )

    def lane(y: int, said: Words) -> None:
        it.words(14, y + 14, said, size=13, colour=GREY)
        it.line((104, y + 22), (466, y + 22), colour="#d0d7de")

    it.words(14, 26, ("Interrupting, with headphones", "打断（戴耳机）"), bold=True)
    for n, said in enumerate([("you", "你"), ("server sends", "服务器发送"), ("loudspeaker", "扬声器")]):
        lane(42 + 44 * n, said)
    it.bar(108, 42, 80, colours=YOU)
    it.bar(290, 42, 84, colours=YOU)
    it.words(148, 56, ("question", "提问"), anchor="middle", size=12)
    it.words(332, 56, ("“Stop!”", "“等等！”"), anchor="middle", size=12)
    it.bar(204, 86, 62, colours=SERVER)
    it.words(235, 100, ("all of it", "全部"), anchor="middle", size=12)
    it.bar(208, 130, 90, colours=SERVER)
    it.bar(298, 130, 162, colours=LOST, dashed=True)
    it.words(253, 144, ("played", "已播放"), anchor="middle", size=12)
    it.words(379, 144, ("sent, never heard", "发来了，没听到"), anchor="middle", size=12)
    it.line((298, 36), (298, 180), colour=LOST[0], dashed=True)
    it.words(298, 196, "truncate  audio_end_ms", anchor="middle", size=12, mono=True, colour=LOST[0])
    it.words(14, 196, ("the page reports:", "页面报告："), size=12, colour=GREY)

    it.line((14, 214), (466, 214), colour="#d0d7de")
    it.words(14, 240, ("Half duplex, without headphones", "半双工（不戴耳机）"), bold=True)
    for n, said in enumerate([("microphone", "麦克风"), ("server sends", "服务器发送"), ("loudspeaker", "扬声器")]):
        lane(256 + 44 * n, said)
    it.bar(108, 256, 80, colours=YOU)
    it.words(148, 270, ("question", "提问"), anchor="middle", size=12)
    it.bar(208, 256, 170, colours=PLAIN, dashed=True)
    it.words(293, 270, ("waits, sends nothing", "等待，什么也不发"), anchor="middle", size=12)
    it.bar(388, 256, 72, colours=YOU)
    it.words(424, 270, ("open", "打开"), anchor="middle", size=12)
    it.bar(204, 300, 62, colours=SERVER)
    it.bar(208, 344, 170, colours=SERVER)
    it.words(293, 358, ("played to the end", "一直播完"), anchor="middle", size=12)
    it.words(104, 394, ("time →", "时间 →"), size=12, colour=GREY)
    it.words(
        466, 394, ("nothing echoes into the microphone", "不会有回声传进麦克风"), anchor="end", size=12, colour=GREY
    )
    return it


def tool_call() -> Drawing:
    """The way of a tool call through both sides: notebook 4."""
    it = Drawing(
        344,
        (
            "A tool call: the question makes response 1, which names the function; your Python runs it; its output and "
            "response.create make response 2, which speaks",
            "一次工具调用：提问得到第 1 次回答，它说出函数名；你的 Python 运行它；"
            "把结果和 response.create 发回去，得到第 2 次回答",
        ),
    )
    python, you, server = 62, 190, 412
    for x, said, colours in (
        (python, ("your Python", "你的 Python"), PLAIN),
        (you, ("notebook", "笔记本"), YOU),
        (server, ("server", "服务器"), SERVER),
    ):
        it.box(x - 50, 14, 100, 30, said, colours=colours)
        it.line((x, 44), (x, 330), colour="#d0d7de", dashed=True)
    it.arrow(you, 76, server, ("question", "提问"), colour=YOU[0], mono=False)
    it.bar(server - 5, 76, 10, colours=SERVER, height=46)
    it.words(server + 12, 103, "1", bold=True, colour=SERVER[0])
    it.arrow(server, 122, you, "function_call", colour=SERVER[0])
    it.words((server + you) / 2, 138, 'weather {"city": "Oslo"}', anchor="middle", size=12, mono=True, colour=GREY)
    it.arrow(you, 168, python, 'weather("Oslo")', colour=YOU[0])
    it.arrow(python, 202, you, ("“rain and …”", "“rain and …”"), colour=LINE, mono=False)
    it.arrow(you, 232, server, "function_call_output", colour=YOU[0])
    it.arrow(you, 264, server, "response.create", colour=YOU[0])
    it.bar(server - 5, 264, 10, colours=SERVER, height=46)
    it.words(server + 12, 291, "2", bold=True, colour=SERVER[0])
    it.arrow(server, 310, you, ("words and sound", "文字和声音"), colour=SERVER[0], mono=False)
    return it


def turn() -> Drawing:
    """The life of a turn on a time line: notebook 5."""
    it = Drawing(
        474,
        (
            "The life of a turn, from top to bottom. You send: connect, session.update, append, commit, item.create, "
            "response.create. The server answers each but append, then sends deltas and response.done",
            "一轮的经过，从上到下。你发出：连接、session.update、append、commit、item.create、response.create。"
            "除了 append，服务器逐一回应，然后发来增量和 response.done",
        ),
    )
    axis = 226
    it.words(axis - 16, 26, ("you send", "你发出"), anchor="end", bold=True, colour=YOU[0])
    it.words(axis + 16, 26, ("the server sends", "服务器发来"), bold=True, colour=SERVER[0])
    it.line((axis, 36), (axis, 462), colour=LINE, arrow=True)
    it.words(14, 462, ("time ↓", "时间 ↓"), size=12, colour=GREY)
    events = [
        (1, 0, ("connect", "连接")), (0, 1, "session.created"),
        (2, 0, "session.update"), (0, 1, "session.updated"),
        (3, 0, "input_audio_buffer.append"), (0, 0, ("… no answer to it", "……对它没有回应")),
        (0, 2, "input_audio_buffer.commit"), (0, 1, "….committed, item.added"),
        (4, 0, "conversation.item.create"), (0, 1, "item.added, item.done"),
        (0, 2, "response.create"), (0, 1, "response.created"),
        (0, 3, "….delta, ….delta, ….delta …"), (0, 3, "….done"),
        (0, 4, "response.done"), (0, 5, "rate_limits.updated"),
    ]  # fmt: skip
    y = 40
    for n, (step, kind, said) in enumerate(events):
        mine = step > 0 or kind == 2
        y += 26 if mine or n > 11 else 22
        mono = isinstance(said, str)
        if mine:
            it.words(axis - 16, y, said, anchor="end", size=12, mono=mono)
            it.line((axis - 12, y - 4), (axis - 1, y - 4), colour=YOU[0], arrow=True)
            if step:
                it.words(14, y, str(step), bold=True, size=13, colour=YOU[0])
        else:
            colour = {0: GREY, 5: GREY}.get(kind, INK)
            it.words(axis + 16, y, said, size=12, mono=mono, colour=colour, bold=kind == 4)
            if kind:
                it.line((axis + 2, y - 4), (axis + 12, y - 4), colour=SERVER[0], dashed=kind == 5)
        if kind == 4:
            it.words(axis + 134, y, ("← the end", "← 结尾"), size=12, colour=SERVER[0])
        if kind == 5:
            it.words(axis + 160, y, ("perhaps", "不一定来"), size=12, colour=GREY)
    return it


def costs() -> Drawing:
    """What a token of each kind costs beside one of text that is read: notebook 6."""
    prices = models.get(models.DEFAULT).prices
    assert prices is not None
    assert prices.image is not None
    base = prices.text.input
    rows: list[tuple[Words, Words, float, Colours] | Words] = [
        ("input: what it reads", "输入：它读的"),
        (("text", "文字"), ("instructions, words, tools", "指令、文字、工具"), prices.text.input, YOU),
        (("image", "图片"), ("what you showed", "你给它看的"), prices.image.input, YOU),
        (("audio", "声音"), ("what you said, 10 tokens a second", "你说的话，每秒 10 个"), prices.audio.input, YOU),
        (("cached", "缓存"), ("audio that the cache still has", "缓存里还有的声音"), prices.audio.cached, YOU),
        ("output: what it says", "输出：它说的"),
        (("text", "文字"), ("transcript, written answers", "文字稿、书面回答"), prices.text.output, SERVER),
        (("audio", "声音"), ("its voice, 20 tokens a second", "它的语音，每秒 20 个"), prices.audio.output, SERVER),
    ]
    most = max(row[2] for row in rows if len(row) == 4)
    it = Drawing(
        358,
        (
            "What one token costs beside one token of text that is read: audio costs most, and output more than input",
            "一个 token 与一个输入文字 token 的价格之比：最贵的是声音，输出比输入贵",
        ),
    )
    it.words(
        14,
        26,
        ("One token, compared with one of text that is read", "一个 token，和一个输入文字 token 相比"),
        bold=True,
    )
    y = 42
    for row in rows:
        if len(row) == 2:
            it.words(14, y + 20, row, size=13, colour=GREY)
            y += 32
            continue
        name, what, price, colours = row
        it.words(28, y + 12, name, size=13)
        it.words(96, y + 12, what, size=12, colour=GREY)
        it.bar(326, y, max(1.5, 100 * price / most), colours=colours, height=16)
        it.words(332 + 100 * price / most, y + 12, f"× {price / base:.3g}", size=12)
        y += 34
    it.words(
        14,
        344,
        (f"{models.DEFAULT}, prices of {prices.since}", f"{models.DEFAULT}，{prices.since} 起的价格"),
        size=12,
        colour=GREY,
    )
    return it


def desk() -> Drawing:
    """The parts of the assistant that notebook 7 builds, by its steps."""
    it = Drawing(
        266,
        (
            "The desk between the customer and its parts: tools, what it may spend, a note beside the conversation, a "
            "recording to test with, and a live call",
            "前台在顾客和各部分之间：工具、预算、对话旁边的笔记、用来测试的录制文件，以及实时通话",
        ),
    )
    it.box(14, 112, 96, 40, ("customer", "顾客"), colours=YOU)
    it.box(156, 96, 100, 72, ("desk", "前台"), "desk_settings", colours=SERVER)
    it.line((110, 124), (156, 124), colour=YOU[0], arrow=True)
    it.line((156, 142), (110, 142), colour=SERVER[0], arrow=True)
    parts: list[tuple[Words, Words, bool]] = [
        ("repair_price, book", ("1, 2  knows, may do", "1、2  知道什么、能做什么"), True),
        ("budget=0.50", ("3, 4  may spend", "3、4  能花多少"), True),
        (("a note", "一条笔记"), ("5  out of earshot", "5  在对话旁边"), False),
        ("desk.rtnb", ("6  replayed, at no cost", "6  回放，不花钱"), True),
        ("rtnb.call", ("7  live", "7  实时通话"), True),
    ]
    for n, (said, what, mono) in enumerate(parts):
        y = 14 + 49 * n
        it.box(296, y, 170, 42, said, what, mono=mono)
        it.line((256, 132), (273, 132), (273, y + 21), (296, y + 21), colour=LINE)
    return it


def article() -> Drawing:
    """Which layer reports each of the six faults: notebook 8."""
    it = Drawing(
        238,
        (
            "The six faults of the article by what its code does, and who reports each: Python, the server in its "
            "first frame, your own code, or nobody",
            "文章里的六处毛病，按代码的步骤排列，以及由谁来报告："
            "Python、服务器（在第一帧里）、你自己的代码，或者没有人",
        ),
    )
    for x, said in (
        (62, ("the code", "代码")),
        (213, ("what breaks", "坏在哪里")),
        (390, ("who reports it", "谁来报告")),
    ):
        it.words(x, 26, said, anchor="middle", size=13, colour=GREY)
    rows: list[tuple[Words, list[tuple[Words, Words, Colours]]]] = [
        (("connect", "连接"), [
            (("1 the library", "1 库"), ("Python, at once", "Python，马上"), YOU),
            (("2, 3 the first frame", "2、3 第一帧"), ("the server, unread", "服务器，没人去读"), SERVER),
        ]),
        (("send", "发送"), [(("nothing", "没有问题"), "", PLAIN)]),
        (("read", "读取"), [
            (("4 the words", "4 文字"), ("your own code, late", "你自己的代码，很晚"), YOU),
            (("5 the sound", "5 声音"), ("nobody", "没有人"), LOST),
        ]),
        (("stop", "停止"), [(("6 the end", "6 结尾"), ("nobody", "没有人"), LOST)]),
    ]  # fmt: skip
    y = 36
    for step, faults in rows:
        it.box(14, y, 96, 32 * len(faults) - 4, step)
        for said, who, colours in faults:
            it.box(126, y, 174, 28, said, colours=PLAIN)
            if who:
                it.line((300, y + 14), (316, y + 14), arrow=True)
                it.box(316, y, 150, 28, who, colours=colours)
            y += 32
    return it


def measures() -> Drawing:
    """Where in a turn each figure of notebook 9 is measured."""
    it = Drawing(
        290,
        (
            "A turn on a time line, and what is measured where: the word error rate of what you said, the wait from "
            "the end of speech to the first sound, cents a minute of all speech, and turns cut off at a pause",
            "时间线上的一轮，以及每个数字量的是哪里：你说的话的词错误率，从说完到第一声的等待时间，"
            "全部语音每分钟的费用，以及在停顿处被打断的轮数",
        ),
    )
    it.words(14, 48, ("you", "你"), size=13, colour=GREY)
    it.words(14, 92, ("it", "它"), size=13, colour=GREY)
    it.bar(64, 34, 70, colours=YOU)
    it.bar(162, 34, 74, colours=YOU)
    it.bar(310, 78, 150, colours=SERVER)
    it.words(99, 48, ("speech", "说话"), anchor="middle", size=12)
    it.words(199, 48, ("speech", "说话"), anchor="middle", size=12)
    it.words(385, 92, ("answer", "回答"), anchor="middle", size=12)
    it.words(148, 28, ("pause", "停顿"), anchor="middle", size=12, colour=LOST[0])
    it.line((148, 34), (148, 52), colour=LOST[0], dashed=True)
    for x in (236, 310):
        it.line((x, 54), (x, 118), colour=LINE, dashed=True)
    it.line((236, 112), (310, 112), colour=INK, arrow=True)
    it.words(273, 132, ("the wait", "等待"), anchor="middle", size=12, bold=True)
    rows: list[tuple[Words, Words, Colours]] = [
        (("words of your speech", "你说的话的文字"), ("word error rate: understood?", "词错误率：听懂了吗？"), YOU),
        (("the wait", "等待"), ("median, 95th percentile: how long?", "中位数、第 95 百分位数：要多久？"), PLAIN),
        (("tokens of both", "双方的 token"), ("cents a minute: how expensive?", "每分钟几美分：贵不贵？"), SERVER),
        (("the pause", "停顿"), ("turns: was anybody cut off?", "轮数：有人被打断吗？"), LOST),
    ]
    for n, (said, what, colours) in enumerate(rows):
        y = 148 + 34 * n
        it.box(14, y, 170, 28, said, colours=colours)
        it.line((184, y + 14), (206, y + 14), arrow=True)
        it.words(212, y + 18, what, size=12)
    return it


def course_map() -> Drawing:
    """In which order the notebooks may be taken."""
    it = Drawing(
        252,
        (
            "Map of the course: 1 and 2 first, then 3, 4, 5 and 6 in any order, then 7 or 9; 8 follows 1",
            "课程地图：先学 1 和 2，再按任意顺序学 3、4、5、6，然后是 7 或 9；学完 1 就可以学 8",
        ),
    )
    it.box(14, 86, 84, 42, "1", ("walkthrough", "全流程"), colours=YOU)
    it.box(122, 86, 92, 42, "2", ("conversation", "对话"), colours=YOU)
    it.box(374, 86, 92, 42, "7", ("your assistant", "你的助手"), colours=SERVER)
    it.line((98, 107), (122, 107), arrow=True)
    names: Sequence[Words] = [
        ("live voice", "实时语音"),
        ("tools", "工具"),
        ("under the hood", "深入底层"),
        ("money", "费用"),
    ]
    for n, said in enumerate(names):
        y = 14 + 48 * n
        it.box(244, y, 104, 42, str(n + 3), said)
        it.line((214, 107), (229, 107), (229, y + 21), (244, y + 21), arrow=True)
        it.line((348, y + 21), (361, y + 21), (361, 107), (374, 107), arrow=n == 0)
    it.box(14, 196, 112, 42, "8", ("repair the article", "修好那篇文章"), colours=LOST)
    it.line((56, 128), (56, 196), arrow=True)
    it.box(374, 196, 92, 42, "9", ("measure", "用数字做决定"), colours=LOST)
    it.line((361, 107), (361, 217), (374, 217), arrow=True)
    return it


FIGURES: Sequence[Callable[[], Drawing]] = (path, items, barge_in, tool_call, turn, costs, desk, article, measures)


def files() -> dict[Path, str]:
    """Every file of a figure, and what belongs into it."""
    made = {NOTEBOOKS / "source" / "figures" / f"{draw.__name__}.svg": draw().svg() for draw in FIGURES}
    for n, folder in enumerate((NOTEBOOKS, NOTEBOOKS / "zh")):
        made[folder / "map.svg"] = re.sub(r"\{\{(.*?)\|(.*?)\}\}", rf"\{n + 1}", course_map().svg())
    return made


if __name__ == "__main__":
    for file, text in files().items():
        file.write_text(text, encoding="utf-8")
        print(file.relative_to(NOTEBOOKS))
