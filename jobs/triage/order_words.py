"""Words by which a text gives orders to a model: pairs of words that stand near each other, and phrases.

Case and accents do not matter; spelling with digits, look-alikes or single letters is read as well. A pair
counts in either order. To add a language, add its words to every set.
"""

from dataclasses import dataclass
from enum import StrEnum

from jobs.triage.folding import fold


class Reach(StrEnum):
    """How much of the text around such words belongs to the order."""

    CLAUSE = "clause"  #: the words themselves: what stands beside them may be the story
    SENTENCE = "sentence"
    PARAGRAPH = "paragraph"  #: from the sentence on: what follows is what is ordered


@dataclass(frozen=True, slots=True)
class Order:
    """Any of ``one`` at most ``near`` words from any of ``other``, and one of ``beside`` among or near them.

    An empty ``beside`` asks for nothing more.
    """

    name: str
    reach: Reach
    one: frozenset[str]
    other: frozenset[str]
    beside: frozenset[str] = frozenset()
    near: int = 8


def _set(*lines: str) -> frozenset[str]:
    return frozenset(fold(word)[0] for line in lines for word in line.split())


_IGNORE = _set(
    "ignore disregard forget override overrule bypass discard neglect",
    "ignoriere ignorieren ignoriert vergiss vergesst missachte missachten umgehe verwirf",
    "ignora ignorad ignorar ignoren olvida olvide olviden descarta descarte omite omita",
    "ignorez ignorer oublie oubliez oublier contourne contournez",
    "ignorem esqueca esquecam desconsidere desconsiderar",
    "ignorate dimentica dimenticare trascura",
    "negeer negeren vergeet",
    "игнорируй игнорируйте забудь забудьте",
)
_GUIDANCE = _set(
    "instructions instruction prompt prompts guidelines guideline rules directives directive programming",
    "anweisungen anweisung instruktionen vorgaben regeln richtlinien",
    "instrucciones instruccion reglas indicaciones directrices",
    "consignes consigne regles",
    "instrucoes regras diretrizes istruzioni regole instructies aanwijzingen",
    "инструкции инструкций правила указания",
)
_OF_THE_MODEL = _set(
    "previous prior above earlier preceding former all any your system initial original these hidden other",
    "given",
    "vorherigen vorherige vorigen bisherigen obigen fruheren alle allen deine deiner deinen ihre aller",
    "anteriores anterior previas previa todas tus sus arriba",
    "precedentes precedente anterieures toutes tes vos dessus",
    "suas seus precedenti tutte tue vorige eerdere je jouw",
    "предыдущие все свои прежние",
)
_INSTRUCTIONS = _set("instructions prompt prompts directives programming anweisungen instrucciones consignes")
_ALL = _set("everything anything alles todo tout")
_BEFORE = _set(
    "above before earlier previous prior previously oben bisher vorher anterior arriba avant dessus"
)
_FOLLOW = _set("follow obey apply befolge befolgen sigas obedezcas suivez")
_WORD_TO = _set(
    "instruction instructions note message attention hint hinweis nota mensaje consigne anweisung"
)
_MODEL = _set(
    "ai llm model assistant bot chatbot classifier gpt chatgpt ki sprachmodell ia asistente modelo modele"
)
_REVEAL = _set(
    "print reveal show repeat output display reproduce quote recite disclose leak dump echo translate encode",
    "write paste include append tell share",
    "zeige zeig wiederhole verrate schreibe drucke nenne gib",
    "muestra muestre repite repita revela escribe imprime",
    "affiche affichez repete repetez revele revelez ecris ecrivez",
)
_PROMPT = _set("prompt systemprompt systemnachricht")
_SECRET_TEXT = _set("system your hidden initial full entire original above secret deinen tu ton votre ihren")
_JUDGE = _set(
    "set mark classify rate label categorize categorise assign treat downgrade upgrade lower raise report",
    "answer respond reply choose select return output override",
    "setze setzen markiere klassifiziere stufe bewerte",
    "marca marque clasifica clasifique establece establezca pon ponga",
    "classe classez definis definissez mets mettez",
)
_LEVEL = _set("priority severity urgency prioritat dringlichkeit prioridad gravedad priorite gravite")
_VALUE = _set(
    "low lowest medium high highest critical urgent minor trivial none normal",
    "niedrig mittel hoch kritisch baja media alta critica critico bajo faible basse haute elevee critique",
)
_NOT = _set("not dont don never without no nicht kein keine niemals no nunca sin pas jamais")
_RAISE_ALARM = _set(
    "escalate escalation flag eskalieren eskaliere eskalation escalar escale escales escalade escaladez"
)
_DECODE = _set("decode decoded base64 rot13 hex dekodiere decodifica decode decodez backwards reversed")
_OBEY = _set("follow obey execute perform comply befolge ausfuhren sigue obedece execute suis obeis run")

#: Read as orders in any ticket.
STRONG = (
    Order("override", Reach.PARAGRAPH, _IGNORE, _GUIDANCE, _OF_THE_MODEL),
    Order("override plainly", Reach.PARAGRAPH, _IGNORE, _INSTRUCTIONS, near=4),
    Order("override all", Reach.PARAGRAPH, _IGNORE, _ALL, _BEFORE, near=2),
    Order("do not follow", Reach.PARAGRAPH, _FOLLOW, _GUIDANCE, _NOT, near=4),
    Order("reveal", Reach.SENTENCE, _REVEAL, _PROMPT, _SECRET_TEXT),
    Order("judge", Reach.CLAUSE, _JUDGE, _LEVEL, _VALUE),
    Order("no alarm", Reach.CLAUSE, _NOT, _RAISE_ALARM, near=2),
    Order("decode", Reach.PARAGRAPH, _DECODE, _OBEY),
)

STRONG_PHRASES = (
    *("pretend to be", "pretend you are", "act as if you", "as an ai"),
    *("if you are an ai", "if you are a language model", "if you are an llm", "you are an ai"),
    *("ai assistant reading", "ai reading this", "model reading this", "assistant reading this"),
    *("the ai must", "the model must", "the assistant must", "the llm must", "the classifier must"),
    *("system override", "admin override", "developer mode", "debug mode on", "jailbreak", "do anything now"),
    *("new system prompt", "system prompt", "end of ticket", "end of the ticket", "begin new instructions"),
    *("ignore all of the above", "ignore the above", "ignore all above", "disregard the above"),
    *("respond only with", "reply only with", "answer only with", "output only", "output the following"),
    *("respond with the json", "answer with the json", "your answer must be", "your output must"),
    *("hinweis an die ki", "an die ki", "du bist jetzt", "du bist nun", "die ki muss"),
    *("nota para la ia", "a la ia", "la ia debe", "note a l ia", "a l ia", "l ia doit"),
    *("voce agora e um", "agora voce e um", "je bent nu een"),
    # Fields and values of the answer: no customer writes them.
    *("customer_summary", "reply_draft", "reply_needed", "handling_mode"),
    *("internal_notes", "recommended_internal_action", "asana_ticket_type_if_needed"),
    *("questions_for_customer", "internal_followup_only", "reply_and_internal_followup"),
    *("request_more_info", "no_action", "reply_only"),
)

#: Read as orders only where something else is odd: hidden text, forged turns, an order of the kinds above.
WEAK = (
    Order("judge mildly", Reach.CLAUSE, _JUDGE, _VALUE, near=6),
    Order(
        "no notice", Reach.SENTENCE, _NOT, _set("notify alert mention inform ping tell melden avisar"), near=3
    ),
    Order("reveal mildly", Reach.SENTENCE, _REVEAL, _GUIDANCE, _OF_THE_MODEL),
    Order(
        "close",
        Reach.SENTENCE,
        _set("close resolve approve grant confirm"),
        _set("ticket request refund access"),
    ),
)

WEAK_PHRASES = (
    *("new instructions", "updated instructions", "the following instructions", "these instructions"),
    *("you must", "you should now", "you will now", "from now on", "ab jetzt", "a partir de ahora"),
    *("desormais", "it is mandatory", "this is mandatory", "pre approved", "already approved", "verified by"),
)

_NAMES = (
    r"(?:ai|llm|gpt|chatgpt|(?:language |ai )?model|assistant|(?:ai )?triage(?: bot| model| assistant)?"
    r"|chatbot|ki|sprachmodell|ia)"
)
_COMMANDS = (
    r"(?:ignore|disregard|override|forget|set|mark|answer|respond|reply|write|classify|rate|treat|choose|output|print"
    r"|must|do not|don't|always|never|low|critical)"
)
#: Speaking to the model: by name with a command, by what is meant for it, or by making it somebody else.
ADDRESS = (
    rf"(?:^|(?<=[.!?:'\"\n>]))[ \t>*'\"]*(?:(?:dear|hey|hi|hello|attention)\s+)?{_NAMES}\s*[:,]"
    rf"(?=\W+(?:\w+\W+){{0,12}}?{_COMMANDS}\b)"
    r"|\b(?:instructions?|note|message|attention|hint|hinweis|nota|mensaje)\s+(?:to|for|an|para|pour|fur)\s+"
    rf"(?:(?:the|any|all|die|das|la|el|le|l')\s*)?{_NAMES}\s*(?=[:.,;\n]|$)"
    r"|\b(?:instructions?|note|message)\s+(?:to|for)\s+(?:(?:the|any|all)\s+)?"
    r"(?:ai|llm|gpt|chatgpt|language model)\b"
    r"|\byou are now (?:an?|the|in|my|acting|free|unrestricted|allowed|called|known|no longer)\b"
    r"|\byou are no longer (?:an?|bound|restricted|required|limited|the|subject)\b"
    r"|\b(?:eres ahora|ahora eres|tu es maintenant|vous etes maintenant) une?\b|\bsei ora un"
    r"|\bsie sind (?:jetzt|nun|ab jetzt) ein\w{0,2} (?:\w+ )?(?:ki|assistent|modell|bot|helfer)"
    r"|\b(?:new|updated|neue|nuevas|nouvelles) (?:system )?"
    r"(?:instructions?|anweisungen|instrucciones|consignes)\s*:"
)

#: Languages without spaces between words.
UNSPACED = r"(?:忽略|无视|無視|忽視|忘记|忘掉)[^。！\n]{0,20}(?:指令|指示|提示|规则|規則|プロンプト)" + (
    r"|(?:指令|指示|提示|规则|規則|プロンプト)[^。！\n]{0,12}(?:忽略|无视|無視|忘れ)"
    r"|(?:이전|모든)[^.\n]{0,12}(?:지시|명령)[^.\n]{0,8}(?:무시|잊)"
)
