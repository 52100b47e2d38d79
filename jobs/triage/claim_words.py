"""Words of sentences that claim what was done, or promise what will be: in the languages that the rules know.

Folded: without accents, in lower case. ``DONE`` are participles of what a support team does to an account, a
payment or a ticket, and ``TO_DO`` the same verbs as they stand after "will".
"""

DONE = {
    "en": """
        refunded reset fixed resolved solved escalated forwarded credited cancelled canceled deleted
        removed restored updated changed disabled enabled unlocked upgraded downgraded closed issued
        processed approved granted created opened filed informed notified contacted activated
        reactivated deactivated transferred reverted patched deployed applied corrected adjusted
        waived compensated reimbursed replaced repaired blocked whitelisted verified logged
        prioritised prioritized assigned raised passed alerted paid sent returned reversed
    """,
    "de": """
        erstattet zuruckerstattet zuruckgesetzt behoben gelost eskaliert weitergeleitet
        gutgeschrieben storniert gekundigt geloscht entfernt wiederhergestellt aktualisiert geandert
        deaktiviert aktiviert freigeschaltet entsperrt geschlossen genehmigt gewahrt erstellt
        angelegt informiert benachrichtigt korrigiert angepasst ersetzt repariert gesperrt
        verifiziert veranlasst uberwiesen
    """,
    "es": """
        reembolsado restablecido solucionado resuelto escalado reenviado abonado cancelado eliminado
        borrado restaurado actualizado cambiado desactivado activado desbloqueado cerrado aprobado
        concedido creado devuelto informado notificado contactado corregido ajustado compensado reemplazado
        reparado bloqueado verificado transferido
    """,
    "fr": """
        rembourse reinitialise corrige resolu escalade transmis credite annule supprime restaure
        modifie desactive active debloque ferme approuve accorde cree informe averti contacte ajuste
        compense remplace repare bloque verifie transfere
    """,
}
#: What the team alone does: a passive of the others tells how a program works.
SETTLED = {
    "en": """
        refunded reset fixed resolved solved escalated forwarded credited cancelled canceled restored unlocked
        closed issued approved granted filed notified transferred reverted patched corrected waived
        compensated reimbursed replaced repaired verified reactivated paid reversed
    """,
    "de": """
        erstattet zuruckerstattet zuruckgesetzt behoben gelost eskaliert weitergeleitet gutgeschrieben
        storniert gekundigt wiederhergestellt freigeschaltet entsperrt geschlossen genehmigt gewahrt
        korrigiert ersetzt repariert verifiziert veranlasst uberwiesen
    """,
    "es": """
        reembolsado restablecido solucionado resuelto escalado reenviado abonado cancelado restaurado
        desbloqueado cerrado aprobado concedido corregido compensado reemplazado reparado verificado
        transferido devuelto
    """,
    "fr": """
        rembourse reinitialise corrige resolu escalade transmis credite annule restaure debloque ferme
        approuve accorde compense remplace repare verifie transfere
    """,
}
TO_DO = {
    "en": """
        refund reset fix resolve solve credit cancel delete restore unlock upgrade compensate
        reimburse replace waive grant approve repair guarantee ensure
    """,
    "de": """
        erstatten zuruckerstatten zurucksetzen beheben losen gutschreiben stornieren loschen
        wiederherstellen freischalten entsperren entschadigen ersetzen genehmigen uberweisen
        garantieren
    """,
    "es": """
        reembolsar restablecer solucionar resolver abonar cancelar eliminar restaurar desbloquear
        compensar reemplazar aprobar garantizar
    """,
    "fr": """
        rembourser reinitialiser corriger resoudre crediter annuler supprimer restaurer debloquer
        compenser remplacer approuver garantir
    """,
}
#: "We have {} it", "ich habe es {}": up to six words between.
WE_DID = {
    "en": r"\b(?:i|we|(?:our|the) (?:\w+ )?(?:team|engineers?|developers?|colleagues?)|support)"
    r"(?:'ve| have| had|'d)?(?: went ahead and)?(?: \w+){0,2}? ",
    "de": r"\b(?:(?:wir|ich|unser team) (?:haben|habe|hat)|(?:haben|habe) (?:wir|ich))\b(?: \w+){0,8}? ",
    "es": r"\b(?:hemos|he|nuestro equipo ha|el equipo ha)(?: \w+){0,3}? ",
    "fr": r"\b(?:nous avons|j'ai|notre equipe a|l'equipe a|nous vous avons)(?: \w+){0,3}? ",
}
IT_WAS = {
    "en": r"\b(?:has|have|had) (?:\w+ ){0,2}?been (?:\w+ ){0,2}?|\b(?:was|were) (?:\w+ )?"
    r"|\b(?:is|are) (?:now |already |fully |successfully )",
    "de": r"\b(?:wurden?|worden) (?:\w+ ){0,5}?"
    r"|\b(?:ist|sind) (?:jetzt|nun|bereits|schon|inzwischen) (?:\w+ ){0,2}?",
    "es": r"\b(?:ha|han) sido |\bse (?:ha|han) |\bqued[oa] ",
    "fr": r"\b(?:a|ont) (?:bien |deja )?ete (?:bien |deja )?|\best (?:desormais|maintenant|deja) ",
}
WE_WILL = {
    "en": r"\b(?:i|we|our team|the team)(?:'ll| will| shall| are going to|'re going to)(?: \w+){0,2}? ",
    "de": r"\b(?:wir|ich) werden?\b(?: \w+){0,8}? |\bwerden (?:wir|ich)\b(?: \w+){0,8}? ",
    "es": r"\b(?:vamos a|voy a)(?: \w+){0,2}? ",
    "fr": r"\b(?:nous allons|je vais)(?: \w+){0,2}? ",
}
#: With no participle of ``DONE``, or with one that only here is no describing word.
DONE_OTHERWISE = (
    r"\b(?:we|i)(?:'ve| have)? (?:took|taken) care of\b|\bconsider it (?:done|fixed|solved|resolved)\b"
    r"|\b(?:bug|error|issue|problem|fault) (?:is|was) (?:now )?(?:gone|fixed|solved|resolved)\b"
    r"|\b(?:fehler|problem|storung) (?:ist|wurde) (?:behoben|gelost|beseitigt)\b"
)
IT_WILL = {
    "en": r"\bwill (?:\w+ )?be (?:\w+ ){0,2}?",
    "de": r"\b(?:wird|werden) (?:\w+ ){0,5}?",
    "es": r"\bsera[n]? ",
    "fr": r"\bsera(?:it)?s? |\bseront |\bserez ",
}
_GIFTS_EN = r"(?:refund|credit|compensation|replacement|discount|voucher)\b"
_GIFTS_DE = r"(?:\w*erstattung|gutschrift|ersatz|rabatt|entschadigung)\b"
_GIFTS_ES = r"(?:reembolso|abono|compensacion|descuento)\b"
_GIFTS_FR = r"(?:remboursement|avoir|credit|compensation|remise)\b"
PROMISES = (
    r"\b(?:we|i)(?: are|'re| am|'m) (?:now )?(?:refunding|crediting|cancell?ing|compensating|reimbursing)\b",
    r"\b(?:your|the|a) (?:refund|credit|money|replacement) (?:is|will be) (?:on its way|being|coming)\b",
    r"\b(?:\w+ )?free months?\b|\b(?:months?|weeks?|years?) (?:for )?free\b",
    r"\b(?:wir|ich) (?:erstatten?|ersetzen?|beheben?|stornieren?|uberweisen?|entschadigen?)\b",
    r"\b(?:le|les|te) (?:devolvemos|reembolsamos|abonamos)\b|\bvous (?:remboursons|creditons)\b",
    rf"\byou(?:'ll| will| are going to) (?:\w+ ){{0,3}}?{_GIFTS_EN}",
    r"\b(?:we|i) (?:can )?(?:guarantee|promise|assure you|commit to)\b|\byou have (?:my|our) word\b",
    r"\b(?:we|i)(?:'ll| will) (?:cover|pay(?: for)?|ship) (?:the|your|all|you)\b",
    r"\b(?:we|i)(?:'re| are|'m| am) (?:sending|shipping) you (?:a|the|your) (?:new|replacement|spare)\b",
    r"\b(?:replacement|refund|parcel|order) ships\b|\bexpect (?:a|your|the) (?:refund|credit|replacement)\b",
    r"\b(?:won't|will not|never) be (?:charged|billed) again\b",
    r"\b(?:you are|you're) entitled to\b|\b(?:full|partial|complete) refund\b",
    rf"\bsie (?:erhalten|bekommen) (?:\w+ ){{0,4}}?(?:geld zuruck\b|{_GIFTS_DE})",
    r"\bvolle \w*erstattung\b",
    r"\b(?:wir|ich) (?:garantieren?|versprechen?|versichere?n?|sichern? \w+ zu)\b",
    rf"\b(?:recibira|tendra) (?:\w+ ){{0,3}}?{_GIFTS_ES}|\breembolso (?:completo|total)\b",
    r"\b(?:garantizamos|garantizo|prometemos|prometo|aseguramos)\b",
    r"\b(?:le|les|te) (?:reembolsa|devolve)remos\b",
    r"\b(?:solucionaremos|resolveremos|restableceremos|cancelaremos|abonaremos|compensaremos)\b",
    rf"\bvous (?:recevrez|aurez|obtiendrez) (?:\w+ ){{0,3}}?{_GIFTS_FR}",
    r"\b(?:garantissons|garantis|promettons|promets|assurons)\b|\bremboursement (?:integral|complet|total)\b",
    r"\b(?:rembourserons|corrigerons|resoudrons|annulerons|restaurerons|compenserons)\b",
)
#: A report in few words: "Refund issued."
BRIEF = (
    r"^(?:your |the |full |partial )*(?:refund|credit|replacement|payment|reset|cancellation|access)s?"
    r" (?:(?:is|was|has been) )?(?:issued|approved|processed|granted|sent|done|complete[d]?|confirmed|made)\b"
)
#: How a program works, whoever set it up.
BY_ITSELF = """
    automatically default every each automatisch standardmassig standard jede jeder jedes automaticamente cada
    automatiquement chaque
"""
#: With one of these a sentence only asks, supposes or denies.
SUPPOSED = """
    if whether once when until unless after before not never cannot could can sobald wenn falls ob
    nachdem nicht si cuando no quand lorsque pas
"""
#: With one of these a sentence says what the customer said.
SAYING = """
    say says said mention mentions mentioned report reports reported write writes wrote describe
    described told claim claims states according laut segun selon dice dit schreibt sagt
"""
#: With one of these what was done was done by the customer, or to them, or is to be looked at.
OF_OTHERS = """
    customer user requester sender client they he she who tried noticed since understand sorry
    apologise apologize check verify please nor kunde kundin nutzer bitte leid verstehen kein keine
    cliente usuario favor lamentamos sentimos utilisateur veuillez desole desoles regrettons
"""
