"""What databases show instead of a plot or of a title: recognised, in the languages they use.

Sentences like "No overview found." have a grammar of a few words, so that a pattern knows those
that nobody has listed. It must match the whole text: "No plan of the crew survives" is a plot.
"""

from __future__ import annotations

import re

LONGEST = 300
"""Characters of the longest placeholder; IMDb's invites its reader to contribute in 200."""
_LONGEST_SENTENCE = 90

_MISSING = frozenset(
    ("nan", "n/a", "#n/a", "<na>", "nat", "none", "null", "nil", r"\n", "undefined", "empty")
)
"""How programs write a missing value, in lower case."""

_TEXT = (
    r"(?:(?:the|an?|any|this|(?:film|movie|title|show|series)(?:'s)?|official|full|english|short|"
    r"brief|detailed|further|current) )*"
    r"(?:plot|overview|synopsis|storyline|story|description|summary|summaries|logline|details|information|"
    r"info|data|content|premise)"
    r"(?: (?:summary|summaries|synopsis|outline|details|line|description|information|text))?"
    r"(?: (?:of|about|on|for) (?:the|this) (?:plot|story|film|movie|title))?"
)
_AVAILABLE = (
    r"(?: (?:is|are|was|were|has|have|been|being|currently|presently|yet|still|now|here|so far|"
    r"just|found|available|provided|given|added|entered|written|listed|known|exists?|online|"
    r"translated|released|announced|revealed|published|at (?:this|the) (?:time|moment|present)|"
    r"for (?:this|the) (?:film|movie|title|entry|show|item|series)|"
    r"in (?:english|your language|our database)))*"
)
_NOT_AVAILABLE = (
    r"(?:not (?:yet )?(?:been )?(?:yet|available|known|provided|found|disclosed|revealed|announced|"
    r"released|given|added|listed|translated|set)|unavailable|unknown|unrevealed|undisclosed|"
    r"missing|pending|forthcoming|tba|tbd|tbc|n/a|none|coming(?: very)? soon|to (?:come|follow)|"
    r"(?:to|will) be (?:announced|determined|added|confirmed|revealed|released|decided|provided|"
    r"disclosed)(?: (?:soon|later|shortly))?|(?:kept |held )?(?:under wraps|secret))"
)
_BEFORE = r"(?:(?:sorry|unfortunately)[,.]? )?"
_ENGLISH = (
    rf"{_BEFORE}(?:there (?:is|are|was) |there's |has )?"
    rf"(?:currently |as yet |so far )?(?:no|without) {_TEXT}{_AVAILABLE}",
    rf"{_BEFORE}{_TEXT}:?(?: (?:is|are|was|has|have|been|being|currently|presently|still|yet))*"
    rf" {_NOT_AVAILABLE}{_AVAILABLE}",
    rf"{_NOT_AVAILABLE}{_AVAILABLE}",
    rf"add an? {_TEXT}(?: »)?|see full (?:summary|synopsis|plot)(?: »)?|#name",
    rf"{_BEFORE}(?:this|the) (?:film|movie|title|show|series|entry) (?:currently |still )?"
    rf"(?:has no|(?:does not|doesn't)(?: yet)? have) {_TEXT}{_AVAILABLE}",
    rf"be the first to (?:add|write|submit|contribute) {_TEXT}",
    r"(?:more |further )?(?:details|information) (?:coming soon|to follow|to come)",
)
_EXCUSE = (
    rf"(?:it (?:looks|seems) like )?(?:sorry[,.]? )?we (?:currently )?(?:don't|do not) (?:yet )?"
    rf"(?:currently )?have {_TEXT} (?:translated|for this|yet|available|in english)\b.*"
)
"""Of IMDb and TMDB, with what they ask their reader to do."""

_FOREIGN_TEXT = (
    # French, Spanish, Portuguese, Italian, German, Dutch, Scandinavian
    r"(?:résumé|synopsis|description|intrigue|sinopsis|descripción|resumen|argumento|trama|"
    r"sinopse|descrição|resumo|enredo|descrizione|sinossi|riassunto|beschreibung|inhaltsangabe|"
    r"handlung|zusammenfassung|inhalt|beschrijving|samenvatting|beskrivning|beskrivelse|handling|"
    # Polish, Czech, Russian, Ukrainian, Turkish, Romanian, Hungarian
    r"opisu?|fabuła|fabuły|popis|описани[ея]|сюжета?|опису?|аннотаци[яи]|"
    r"информаци[яи]|özet|açıklama|konu|"
    r"descriere|leírás)"
)
_NO = (
    r"(?:aucune?|pas (?:encore )?(?:de|d')|sans|sin|(?:aún |todavía )?no hay|ninguna?|"
    r"sem|nenhuma?|nessuna?|senza|(?:noch )?keine?n?|ohne|geen|"
    r"ingen|inget|brak|bez|žádný|нет|без|немає|nicio)"
)
_NONE_THERE = (
    r"(?:(?:non |pas |no |não |nicht |niet |inte |ikke |nie |ej )(?:encore |ancora |ainda |noch )?"
    r"(?:est |está |è |ist )?(?:disponibles?|disponibile|disponível|verfügbar|vorhanden|"
    r"beschikbaar|tillgänglig|tilgjengelig|tilgængelig|dostępny|bekannt)|"
    r"indisponible|indisponível|unbekannt|onbekend|okänd|inconnue?|desconocid[oa]|desconhecid[oa]|"
    r"sconosciut[oa]|à venir|próximamente|em breve|folgt(?: in kürze)?|niedostępny|"
    r"отсутствует|не (?:раскрывается|известен|указано?|добавлено|найдено)|недоступно|"
    r"скоро(?: появится)?|неизвестен|неизвестно|відсутній|"
    r"bulunamadı|yok|mevcut değil|bulunmuyor|indisponibilă|nem elérhető)"
)
_FOREIGN_TAIL = (
    r"(?: (?:est|est actuellement|actuellement|disponibles?|disponibile|disponível|trouvée?|"
    r"vorhanden|verfügbar|gefunden|bekannt|beschikbaar|gevonden|tillgänglig|tilgjengelig|"
    r"tilgængelig|dostępny|encontrad[oa]|trovat[oa]|доступно|en français|en español|em português|"
    r"in italiano|auf deutsch|pour (?:ce film|le moment|l'instant)|por el momento|"
    r"no momento|per questo film|für diesen film))*"
)
_FOREIGN = (
    rf"{_NO} ?{_FOREIGN_TEXT}{_FOREIGN_TAIL}",
    rf"(?:(?:la|le|el|il|a|o|de|die|der|das) )?{_FOREIGN_TEXT}:?"
    rf"(?: (?:est|está|è|é|ist|is|är|er|jest|derzeit|momenteel|actuellement|film))* {_NONE_THERE}",
    r"(?:暂无|暫無|没有|沒有|无|無)(?:剧情|劇情|内容|內容|影片|电影|電影|故事|相关|詳細|详细)*"
    r"(?:简介|簡介|介绍|介紹|概述|概要|描述|资料|資料)?",
    r"(?:あらすじ|概要|説明|ストーリー|内容)(?:は|が)?(?:まだ|現在)?"
    r"(?:ありません|ない|なし|無し|未定|未登録|準備中|不明)(?:です)?",
    r"(?:등록된 )?(?:줄거리|개요|설명|내용)(?:가|이|는|은)? ?"
    r"(?:없음|없습니다|없다|미정|준비 ?중(?:입니다)?)",
    r"ไม่มี(?:เรื่องย่อ|คำอธิบาย|ข้อมูล)",
    r"(?:لا يوجد|لا توجد) (?:وصف|ملخص|قصة)(?: متاح)?",
)
_FOREIGN_EXCUSE = (
    rf"(?:nous n'avons pas|wir haben (?:noch )?(?:keine?n?)|no tenemos|(?:ainda )?não temos|"
    rf"non abbiamo|we hebben geen|vi har ingen)(?: (?:de|d'une?|una?|uma?|encore))* ?"
    rf"{_FOREIGN_TEXT}\b.*"
)
_SENTENCE = re.compile("|".join(f"(?:{part})" for part in (*_ENGLISH, *_FOREIGN)))
_EXCUSES = re.compile(f"(?:{_EXCUSE})|(?:{_FOREIGN_EXCUSE})", re.DOTALL)
_AROUND = " .!?…。！»*-–—[]()\"'“”"
"""Characters that may stand around a placeholder."""


def is_missing(text: str) -> bool:
    """Whether a cell is only how a program writes a missing value: `nan`, `N/A`, `None`, `\\N`."""
    return len(text) <= 12 and text.strip().casefold() in _MISSING


def is_placeholder(plot: str) -> bool:
    """Whether a clean plot says only that there is none: "No overview found."."""
    if len(plot) > LONGEST:
        return False
    text = plot.casefold().replace("’", "'").strip(_AROUND)
    if len(text) <= _LONGEST_SENTENCE and _SENTENCE.fullmatch(text):
        return True
    return bool(_EXCUSES.fullmatch(text))
