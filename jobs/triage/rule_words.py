"""The phrases of the fixed rules, most urgent rule first: ``|`` or a new line parts them, ``*`` ends openly.

Case, accents and apostrophes do not matter. To add a language, add its phrases to every rule.
"""

from jobs.verdict import InternalAction, Priority

HARMLESS = """
social security | security deposit* | security guard* | security code* | security number*
security question* | homeland security | job security | planned outage* | outage notification*
outage history | data loss prevention | life hack* | growth hack* | hackathon* | down payment* | food court
court yard | error free | bug bounty | credit freeze | security freeze
"""

_OUTAGE = """
outage* | major incident | site is down | website is down | service is down | services are down
system is down | systems are down | server is down | servers are down | platform is down | app is down
api is down | everything is down | completely down | totally down | down for everyone | down for all
down for our whole | nobody can log in | nobody can login | nobody can access | nobody can work
nobody can use | none of our users can | no one can log in | no one can login | no one can access
no one can work | no one can use | all our users are | all users are affected | all customers are affected
everyone is affected | entire company is | ausgefallen | totalausfall | systemausfall | serverausfall
komplettausfall | kompletter ausfall | nichts geht mehr | ausfall des systems | system steht still
system ist down | server ist down | seite ist down | niemand kann sich | niemand kann arbeiten
alle nutzer sind | alle benutzer sind | alle kunden sind betroffen | caída del servicio | caída del sistema
servicio caído | sistema caído | está caído | está caída | están caídos | nadie puede | ningún usuario puede
todos los usuarios están | todos nuestros usuarios | panne générale | panne totale | site est en panne
service est en panne | système est en panne | tout est en panne | est hors service | plus personne ne peut
personne ne peut | aucun utilisateur ne peut | tous les utilisateurs sont | tous nos utilisateurs
"""

_DATA_LOSS = """
data loss | loss of data | lost data | lost our data | lost all data | lost all our data
lost all of our data | lost all my data | lost my data | data was lost | data is lost | data were lost
data has been lost | data is gone | data are gone | all data gone | data disappeared | data has disappeared
data vanished | data was deleted | data has been deleted | data was wiped | data corruption | corrupted data
data is corrupted | deleted all our | records are gone | records disappeared | records have disappeared
files are gone | everything is gone | datenverlust* | daten verloren | daten sind weg
daten sind verschwunden | daten sind gelöscht | daten wurden gelöscht | daten gelöscht | alles weg
pérdida de datos | perdido datos | perdido los datos | perdido todos los datos | perdimos los datos
datos han desaparecido | desaparecido los datos | borrado los datos | datos borrados | datos se han borrado
perte de données | perdu des données | perdu nos données | perdu toutes nos données | données perdues
données ont disparu | données ont été supprimées | données supprimées | données effacées
"""

_BREACH = """
data breach* | security breach* | breach of security | breach of data | we were hacked | we have been hacked
we got hacked | you were hacked | you have been hacked | been breached | ransomware | security hole*
security flaw* | sql injection | remote code execution | cross site scripting | xss | authentication bypass
bypass authentication | bypass the login | privilege escalation | data leak* | leaked data | leaking data
data exposed | exposed data | exposes data | personal data of other | credentials leaked
leaked credentials | leaked password* | other customers data | other customer's data
another customer's data | see data of other | see other people's data | see other customers
see another customer* | data of another customer | wurden gehackt | hackerangriff* | datenleck*
datenpanne* | sicherheitslücke* | sicherheitsleck* | daten anderer kunden | daten von anderen kunden
fremde kundendaten | nos han hackeado | nos hackearon | fuga de datos | filtración de datos
brecha de seguridad | fallo de seguridad | datos de otros clientes | datos de otro cliente
agujero de seguridad | avons été piratés | fuite de données | violation de données | faille de sécurité
données d'autres clients | données d'un autre client | données des autres clients
"""

_SECURITY = """
suspicious login* | suspicious activity | suspicious access | suspicious sign in | suspicious email*
unauthorized access | unauthorised access | unauthorized login* | unauthorized user*
unauthorized transaction* | unauthorised transaction* | unauthorized charge* | unauthorised charge*
phishing | malware | hacked | gehackt | hackeado* | hackeada* | hackearon | été piraté* | piratage
vulnerability | vulnerabilities | security issue* | security problem* | security concern*
security incident* | identity theft | stolen identity | stole my identity | identity was stolen
account was compromised | account is compromised | been compromised | was compromised | compromised account*
stolen password* | password was stolen | someone else logged in | someone logged in | someone accessed
logged in as someone else | account takeover | took over my account | fraudulent account*
fraudulent charge* | fraudulent transaction* | api key was exposed | unbefugt* | unberechtigter zugriff
verdächtige anmeldung* | verdächtiger login | verdächtige aktivität* | sicherheitsproblem*
sicherheitsvorfall* | passwort gestohlen | identitätsdiebstahl | konto übernommen | acceso no autorizado
accesos no autorizados | actividad sospechosa | inicio de sesión sospechoso | vulnerabilidad*
problema de seguridad | robo de identidad | contraseña robada | cargo no autorizado | accès non autorisé*
activité suspecte | connexion suspecte | vulnérabilité* | hameçonnage | usurpation d'identité
problème de sécurité | incident de sécurité | mot de passe volé
"""

_LEGAL = """
lawyer* | attorney* | lawsuit* | legal action* | take you to court | see you in court | small claims court
sue you | litigation | cease and desist | gdpr violation* | gdpr complaint* | violation of gdpr
data protection authority | regulator* | rechtsanwalt | anwalt | anwältin | rechtliche schritte
klage einreichen | verklagen | abmahnung | datenschutzbehörde | dsgvo verstoß | abogado* | abogada*
acciones legales | demandarles | demandarlos | avocat* | action en justice | poursuites judiciaires
mise en demeure | poursuivre en justice
"""

_PAYMENT = """
charged twice | charged me twice | charged us twice | double charge* | double charged | charged double
billed twice | billed us twice | billed me twice | duplicate charge* | overcharged | wrongly charged
charged after cancel* | charged after i cancel* | charged even though | charged although
still being charged | keep charging | keeps charging | chargeback* | payments are failing | payments fail
cannot take payments | customers cannot pay | customers can't pay | doppelt abgebucht | zweimal abgebucht
doppelt belastet | trotz kündigung | zu viel abgebucht | falsch abgebucht | kunden können nicht bezahlen
cobrado dos veces | cobro doble | doble cobro | cobraron dos veces | cobro indebido | cargo duplicado
débité deux fois | prélevé deux fois | double prélèvement | facturé deux fois | prélèvement indu
"""

_BLOCKED = """
cannot log in | can't log in | can not log in | unable to log in | cannot login | can't login
can not login | unable to login | couldn't log in | won't let me log in | cannot sign in | can't sign in
unable to sign in | cannot access | can't access | can not access | unable to access | no access to
lost access | locked out | locked me out | completely blocked | we are blocked | i am blocked | blocks our
blocking our | blocking us | cannot work | can't work | can not work | unable to work | work has stopped
production is | degraded | stopped working for us | at a standstill | service interruption*
account was suspended | account is suspended | nicht einloggen | nicht anmelden | nicht mehr anmelden
nicht mehr einloggen | ausgesperrt | keinen zugriff | kein zugriff | können nicht arbeiten | konto gesperrt
konto ist gesperrt | arbeit steht | no puedo entrar | no puedo acceder | no podemos acceder
no podemos entrar | no puedo iniciar sesión | no podemos iniciar sesión | no podemos trabajar
cuenta bloqueada | estamos bloqueados | peux pas me connecter | peux plus me connecter
pouvons pas nous connecter | pouvons plus nous connecter | arrive pas à me connecter
arrive plus à me connecter | impossible de se connecter | impossible de me connecter | impossible d'accéder
compte bloqué | nous sommes bloqués | pouvons plus travailler
"""

_BUG = """
bug | bugs | error | errors | error code* | crash* | broken | not working | isn't working | doesn't work
does not work | don't work | do not work | didn't work | won't work | stopped working | no longer works
fails | failed | failing | failure* | slow | slowly | slower | freezes | frozen | hangs | timeout*
timed out | times out | time out | exception | stack trace* | malfunction* | glitch* | incorrect* | is wrong
are wrong | missing | won't load | doesn't load | does not load | not loading | refund* | invoice is wrong
wrong invoice | billing problem* | fehler* | funktioniert nicht | funktioniert leider nicht | geht nicht
absturz | stürzt ab | langsam | kaputt | lädt nicht | hängt sich auf | falsche rechnung | rückerstattung
erstattung | no funciona | no funcionan | falla | fallan | fallo | errores | lento | lenta | muy despacio
se cuelga | reembolso | erreur* | ne fonctionne pas | ne fonctionne plus | ne marche pas | ne marche plus
plante | lente | très lent | bogue* | ne charge pas | remboursement
"""

_QUESTION = """
how do i | how do we | how can i | how can we | how to | how would i | where do i | where can i
where can we | where is the | is it possible | is there a way | is there any way | can i change
feature request* | feature idea* | would be nice | would be great | would be helpful | would love
suggestion* | wish* | typo* | cosmetic* | a question about | quick question | could you add | please add
can you add | documentation | what is the difference | do you support | do you offer | wondering how
wondering if | wie kann ich | wie kann man | wie können wir | wie mache ich | wie stelle ich
wie ändere ich | wo finde ich | wo kann ich | ist es möglich | gibt es eine möglichkeit | wunsch | vorschlag
wäre schön | wäre toll | tippfehler | eine frage zu | cómo puedo | cómo podemos | cómo se | cómo hago
dónde puedo | dónde encuentro | es posible | sugerencia* | me gustaría | nos gustaría | sería bueno
una pregunta | comment puis je | comment faire | comment peut on | comment pouvons | comment modifier
comment changer | où puis je | où trouver | est il possible | serait bien | serait utile | faute de frappe
une question
"""

RULES = (
    ("outage", Priority.CRITICAL, InternalAction.ESCALATE_TO_ENGINEERING, _OUTAGE),
    ("data loss", Priority.CRITICAL, InternalAction.ESCALATE_TO_ENGINEERING, _DATA_LOSS),
    ("security breach", Priority.CRITICAL, InternalAction.ESCALATE_TO_SECURITY, _BREACH),
    ("security concern", Priority.HIGH, InternalAction.ESCALATE_TO_SECURITY, _SECURITY),
    ("legal", Priority.HIGH, InternalAction.NONE, _LEGAL),
    ("payment", Priority.HIGH, InternalAction.NONE, _PAYMENT),
    ("blocked customer", Priority.HIGH, InternalAction.NONE, _BLOCKED),
    ("bug, slowness or refund", Priority.MEDIUM, InternalAction.NONE, _BUG),
    ("how-to or wish", Priority.LOW, InternalAction.NONE, _QUESTION),
)
