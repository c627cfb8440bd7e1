"""Names of the Realtime API's events: one table for the client, the practice server, recordings and the Beta interface.

Names are the API's own, from the reference of client and server events
(platform.openai.com/docs/api-reference/realtime). What a server event changes stands in `conversation`, by its name.
"""

CLIENT_EVENTS = (
    "session.update",
    "session.close",
    "input_audio_buffer.append",
    "session.input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "conversation.item.create",
    "conversation.item.truncate",
    "conversation.item.delete",
    "conversation.item.retrieve",
    "response.create",
    "response.cancel",
)
"""Events a client may send, in the server's own order (recorded in an `invalid_value` error, September 2026)."""

AUDIO_FIELDS = {
    "input_audio_buffer.append": "audio",
    "response.output_audio.delta": "delta",
    "response.audio.delta": "delta",
    "session.input_audio_buffer.append": "audio",
    "session.output_audio.delta": "delta",
}
"""Events that carry audio → the field that holds it, as base64."""

# OpenAI removed the Beta interface on 12 May 2026; Azure Voice Live and several open servers still use it.

GA_NAMES = {
    "response.text.delta": "response.output_text.delta",
    "response.text.done": "response.output_text.done",
    "response.audio.delta": "response.output_audio.delta",
    "response.audio.done": "response.output_audio.done",
    "response.audio_transcript.delta": "response.output_audio_transcript.delta",
    "response.audio_transcript.done": "response.output_audio_transcript.done",
    "conversation.item.created": "conversation.item.added",
}
"""Server events of the Beta interface → their names in the GA interface."""

BETA_NAMES = {ga: beta for beta, ga in GA_NAMES.items()}
"""Server events of the GA interface → their names in the Beta interface, where those differ."""

BETA_CONTENT = {"text": "output_text", "audio": "output_audio"}
"""Content types of assistant messages in the Beta interface → in the GA interface."""

BETA_FORMATS = {"audio/pcm": "pcm16", "audio/pcmu": "g711_ulaw", "audio/pcma": "g711_alaw"}
"""Audio formats of the GA interface → in the Beta interface."""
