"""What can stand in a prompt and be asked: fact families, and the questions that they answer.

A fact is a sentence about an *entity* ("the café", or `US`, the place itself).  It answers one or more
*intents* about that entity; a question is an intent, an entity and, for some, a value to be confirmed.
The answer to a question is therefore computed, not written: the facts of the prompt that answer this
intent for this entity, behind "Yes," or "No," where that was the question, or else a refusal.
"""
from dataclasses import dataclass, field

import nouns as n
import words as w
from grammar import expand

US = "us"                                # the entity of facts about the place itself

# ------------------------------------------------------------------------------------------ questions
# intent -> wordings.  {e}: entity, {x}: a value to be confirmed.
WHEN = "(when|when|what time|at what time|#at what hour)"
Q = {
    "open": [f"{WHEN} does {{e}} open [up|again]", "(when|from when|since when) is {e} open", "opening time (of|for) {e}", "when can i (go to|go into|visit|get into|use|enter) {e}",
             "(what time|how early|#how soon) can i (go to|go into|visit|get into|use|enter) {e}", "~(when|what time|at what time) {e} opens", "#what is the opening time of {e}",
             "how early does {e} open", "does {e} open early", "#when will {e} be open", "{e} opens when", "when are {e} opening", "when does {e} start"],
    "close": [f"{WHEN} does {{e}} (close|close|shut|#end) [down]", "(until when|till when|how late|how long|till what time|until what time|#to what time) is {e} open [today|tonight]",
              "closing time (of|for) {e}", "when do i have to leave {e}", "(how long|till when|#how late) can i (stay in|use|be in) {e}", "~(when|what time|at what time) {e} (closes|shuts)",
              "how late (does|can) {e} (close|stay open)", "when is {e} closing", "#what is the closing time of {e}", "#what is the latest i can be in {e}", "{e} closes when"],
    "hours": ["when is {e} open", "what are the (opening hours|hours|opening times|times|#business hours) (of|for) {e}", "(opening hours|hours|opening times|#open times) (of|for|) {e}", "what time is {e} open",
              "is {e} (open now|open today|still open|open right now|#open at the moment)", "when can i (visit|go to|use|come to) {e}", "what hours is {e} open", "~(when|what hours) {e} is open",
              "is {e} open", "#what hours does {e} keep"],
    "closedday": ["(on which day|which day|what day|on what day|which days|on what days) is {e} (closed|shut)", "when is {e} (closed|shut|not open)", "is {e} open (every day|all week|daily|the whole week|#seven days a week)",
                  "(which days|what days) is {e} open", "#are there days when {e} (is closed|does not open)", "is {e} closed (some day|any day)"],
    "onday": ["is {e} open on {x}", "is {e} (closed|shut) on {x}", "(what about|how about) {e} on {x}", "can i (visit|come to|use|go to) {e} on {x}", "when is {e} open on {x}", "what time does {e} (open|close) on {x}",
              "(hours|opening hours) of {e} on {x}", "#does {e} open on {x}", "is {e} open {x}", "#would {e} be open on {x}"],
    "where": ["(where is|where is|where are|where's) {e} [please|exactly|again]", "where (can|do|could|would) i (find|get to|see|#locate) {e}", "how (do|can|could) i (get|go|come) to {e}", "i am looking for {e}", "i need {e}", "i need to find {e}", "looking for {e}",
              "which way (to|is) {e}", "is {e} (near|close|far|nearby|around here)", "can you (show me the way to|take me to|bring me to|show me) {e}", "~where {e} (is|are|is located)", "~where (i can find|to find) {e}", "i can not find {e}",
              "i (am trying|want|would like) to (find|see|go to|visit) {e}", "(which|on which|on what|what) floor is {e} on", "where {e}", "{e} where is (it|that)", "where do i have to go for {e}", "where do i go for {e}", "i want to go to {e}",
              "where would {e} be", "#what is the way to {e}", "#point me to {e}", "#have you seen {e}", "#which direction is {e}", "#where did they put {e}", "(in which|in what) room is {e}", "how far is {e}", "directions to {e}"],
    "exists": ["(do you have|is there|have you got|is there) {e} [here|in here|around here|in this building]", "are there {e} here", "do you guys have {e}", "#would you happen to have {e}", "you have {e}", "is {e} here"],
    "isat": ["is {e} {x}", "(is it true that|so) {e} is {x}", "#{e} is {x} right"],
    "when": [f"{WHEN} (is|does) {{e}} (start|begin|start|begin)", "when is {e} [today|on]", "what time is {e} [today|at]", "at what time is {e}", "(start|starting) time of {e}", "~(when|what time|at what time) {e} (starts|begins|is)",
             "when will {e} (start|begin|be)", "what time should i be (there|here) for {e}", "i (am here|came) for {e}", "i want to (see|go to|join|take part in) {e}", "is there {e} today", "#how soon does {e} kick off", "#at what hour is {e}",
             "when do they (serve|hold|have|do) {e}", "when can i (get|have|see|join) {e}", "when does {e} take place", "on what day is {e}", "which day is {e}", "is {e} (today|soon|on today)", "#what is the schedule for {e}"],
    "venue": ["where is {e} [held|taking place|happening]", "where does {e} (take place|happen|start|begin)", "where do i (go for|find|see|have to go for) {e}", "(in which|in what|which|what) room is {e} [in]", "where can i (see|join|have|get) {e}",
              "~where {e} (is|takes place|is held)", "i am looking for {e}", "how do i get to {e}", "#what is the location of {e}", "#can you direct me to {e}", "#where will {e} be", "where is {e} served"],
    "price": ["how much (is|are|is|for|do you charge for|does|would) {e} [cost]", "how much does {e} cost", "what (does|do|would|will) {e} cost", "(price|the price|cost) (of|for) {e}", "what is the (price|cost|#fee) (of|for) {e}", "(i would like|i want|can i have|can i get|could i get|i will take|i'd like|give me) {e}",
              "what do (i|we|you) (pay|charge) for {e}", "how (expensive|#pricey) is {e}", "is {e} expensive", "~(how much|what) {e} (costs|is)", "how many euros for {e}", "do i have to pay for {e}", "{e} how much", "#what would one pay for {e}", "#what is the charge for {e}",
              "how much would {e} be", "what's the price for {e}", "can i (buy|rent|book|hire) {e}", "how much will {e} cost [me]", "how much money is {e}"],
    "free": ["is {e} free [of charge]", "(do i|do we|must i) have to pay for {e}", "does {e} cost (anything|money|extra)", "(how much is|what does) {e} [cost]", "is {e} included", "do you charge for {e}", "is there a (charge|fee) for {e}", "#do i get {e} for nothing", "#must i pay for {e}"],
    "entry": ["how much (is|for) the (entry|entrance|admission|entrance fee|ticket)", "what does it cost to (get in|enter|come in|visit)", "is (it|entry|admission|the entrance|entrance) free", "how much is (admission|entry|it to get in|entrance)", "do (i|we) have to pay [to get in]", "how much does it cost to (enter|get in|visit)",
              "what is the (entry|entrance|admission) (fee|price|#charge)", "how much to get in", "what do you charge for (entry|admission)", "~how much (admission|entry|the entrance) is", "#how much do i need to come inside", "#is there an entrance fee", "how much do i have to pay", "what does (admission|entry|the entrance) cost"],
    "who_runs": ["who (runs|manages|leads|#looks after) {e}", "who is (in charge of|the manager of|responsible for|the head of|the boss of|#behind) {e}", "(whom|who) do i ask about {e}", "who takes care of {e}", "who works (in|at) {e}", "~who (runs|manages|is in charge of) {e}", "whose job is {e}", "#who is running {e}"],
    "boss": ["who is (the|your) (director|boss|manager|owner|chief)", "who (runs|manages|owns|leads) (this place|this|it here|the place)", "who is in charge [here|of this place]", "what is the name of (the|your) (director|manager|boss|owner)", "what is (the director|the manager|your boss) called", "#who is the head here", "#which person is responsible here", "~who (the director|the boss|the manager) is",
             "who is responsible here", "who do you work for"],
    "allowed": ["are {e} (allowed|permitted|ok|okay|welcome|forbidden|#accepted) [here|in here|inside]", "can (i|we) (bring|have|take|use|bring in) {e} [in|inside|here|along|with me]", "(may|could) i (bring|have|take|use) {e} [in|inside|here]", "is it (ok|okay|fine|allowed|possible|alright) to (bring|have|take|use) {e} [inside|here]",
                "do you (allow|accept|take|#tolerate) {e}", "(what about|how about) {e}", "i have {e} with me is that ok", "~(if|whether) {e} are allowed", "#what is the rule (on|for|about) {e}", "#would {e} be a problem", "can i come [in] with {e}", "{e} allowed", "are {e} (not allowed|prohibited|banned)"],
    "password": ["what is the (wifi|wi-fi|internet|wireless|wlan) (password|code|key)", "(do you have|is there|have you got) (wifi|internet|wi-fi|free wifi)", "(wifi password|internet password|wifi|password)", "how (do|can) i (get on|connect to|use|log in to|join) the (wifi|internet|network|#web)", "is there internet here", "what is the password [for the wifi|for the internet]",
                 "(i need|can i have|could i have|give me|tell me) the (wifi|internet|#wireless) (code|password)", "~what the (wifi password|password) is", "#how do i go online [here]", "#could you give me the wireless key", "can i use the (internet|wifi)"],
    "network": ["what is the (wifi|network|wireless network) (called|name)", "which (network|wifi) (is it|do i use|is yours|do i choose)", "what is the name of the (wifi|network)", "#which wifi should i pick"],
    "phone": ["what is {e} (phone number|number|telephone number|extension)", "(can i have|give me|tell me|i need|do you have) {e} (phone number|number|telephone number)", "how (can|do) i (call|reach|phone|#ring) {e}", "(which|what) number (is|do i (dial|call) for) {e}", "~what {e} number is", "{e} number", "#on which number do i get {e}", "phone number (of|for) {e}", "what is the (number|phone number) (of|for) {e}"],
    "built": ["when was {e} (built|founded|made|opened|#constructed|#erected)", "how old is {e}", "(in which|what|in what) year was {e} (built|founded|opened|made)", "what year is {e} from", "since when does {e} exist", "how long has {e} been here", "~(when|in which year) {e} was (built|founded)", "#what is the age of {e}", "when did they (build|found|open|make) {e}", "when was {e} from"],
    "maker": ["who (made|designed|built|created|painted|#constructed) {e}", "who is (the artist of|the maker of|behind|the designer of|the architect of) {e}", "by whom (is|was) {e}", "who {e} is by", "#whose work is {e}", "#which artist did {e}", "~who (made|built|designed) {e}", "{e} is by whom"],
    "called": ["what is {e} called", "what is the name of {e}", "who is {e}", "how is {e} called", "tell me the name of {e}", "what is {e}'s name", "do you know [the name of] {e}", "~(who {e} is|what {e} is called|the name of {e})", "#what do you call {e}", "#which name does {e} have", "does {e} have a name", "i want to (speak|talk) to {e}", "i need to see {e}", "name of {e}"],
    "special": ["what is there to eat", "what is (the special|the dish|the meal) [of the day|today]", "what is for (lunch|dinner|today)", "what can (i|we) eat [today|here]", "what is on the menu [today]", "i am hungry", "what food (is there|do you have)", "today's special", "~what (the dish of the day is|there is to eat)", "#what are they serving today", "#what are you cooking", "what do you recommend to eat", "what is cooking today"],
    "seats": ["how many (people|persons|visitors|guests) (fit in|fit into|can be in|go in|are allowed in) {e}", "how big is {e}", "how many (seats|places|chairs) (does {e} have|are in {e}|are there in {e})", "what is the (capacity|size) of {e}", "how large is {e}", "#how much space is in {e}", "#how many can {e} take", "~how (big {e} is|many people fit in {e})", "is {e} big", "how many people can {e} hold"],
    "lasts": ["how long (is|does) {e} [take|last|go]", "how long does {e} (take|last|go on)", "how much time does {e} take", "what is the (length|duration) of {e}", "(is {e} long|does {e} take long)", "~how long {e} (takes|lasts|is)", "how many (minutes|hours) (is|does) {e} [take]", "when is {e} over", "#is {e} very long", "#how many minutes does {e} go on", "#what is the running time of {e}"],
    "contact": ["(who|whom) do i (ask|see|talk to|call|#approach) (about|for) {e}", "who (takes care of|is responsible for|deals with|does|#handles) {e}", "i have a (question|problem) (about|with) {e}", "where do i go (for|with|about) {e}", "it is about {e}", "can you help me with {e}", "i need help with {e}", "who can help [me] with {e}", "~who (takes care of|i ask about|to ask about) {e}", "#i need someone for {e}", "who should i (ask|contact|talk to) (about|for) {e}", "i would like to talk about {e}", "{e} who do i ask"],
    "langs": ["(in which|which|what|in what) language is {e}", "(what|which) languages (is {e} in|does {e} come in|are there for {e}|is {e} offered in)", "is {e} in {x}", "is there {e} in {x}", "~(what|which) languages {e} is in", "#do they speak {x} on {e}", "(do you have|is) {e} [also] in {x}"],
    "age": ["is there an age limit", "can my (children|kids|daughter|son|boy|girl) come [in|too|along]", "what about (kids|children|my son|my kids)", "do children pay", "(from|at|starting at) what age can you enter", "can i bring my (kids|children|son|daughter)", "is there a minimum age", "how old (do you have to|must i|does one have to) be", "are children (allowed|free)", "do (kids|children) get in free",
            "#how old must you be", "#is my little (girl|boy) allowed", "is it (ok|suitable|good) for (kids|children)"],
    "about": ["(tell me|tell me something|tell me more|say something) about {e}", "what (do you know|can you tell me|can you say) about {e}", "(what about|how about|what is with) {e}", "(anything|something|any information|info) (on|about) {e}", "i have a question about {e}", "what is special about {e}", "#what is there to know about {e}", "#give me some details on {e}", "information about {e}", "what is up with {e}", "is {e} special"],
    "sells": ["what (does|do) {e} (sell|offer|have)", "what can i (buy|get) (in|at|from) {e}", "what do they (sell|have|offer) (in|at) {e}", "what is (sold|there) (in|at) {e}", "~what {e} sells", "#what kind of things does {e} have"],
    "buy": ["where can i (buy|get|find|rent|borrow|purchase) {e}", "where do (you|they) (sell|have) {e}", "(do you|does anyone here) sell {e}", "(can i|could i) (buy|get|rent) {e} [here|somewhere|anywhere]", "who sells {e}", "where (are|is) {e} sold", "i (need|want|would like) [to buy] {e}", "is there somewhere to buy {e}", "~where (i can buy|to buy|to get) {e}", "#where would i get hold of {e}", "do you have {e}", "where do i get {e}"],
    "does": ["what does {e} do", "what is {e}'s (job|role|position|#function)", "who is {e}", "what is {e} responsible for", "~(who {e} is|what {e} does)", "do you know {e}", "#what is {e} in charge of"],
    "person_at": ["where is {e} [today|please|now]", "where (can|do) i (find|meet|see) {e}", "(which|in which|what) (room|office) is {e} [in]", "where is {e}'s (office|room|desk)", "i am looking for {e}", "i (have an appointment|have a meeting|am here) with {e}", "i (want|need|would like) to (see|speak to|talk to|meet|speak with) {e}", "~where {e} is", "can i (see|speak to|talk to) {e}", "is {e} (here|in|there)",
                  "#which way to {e}", "#how do i get to {e}'s office", "i am here to see {e}", "i'm here for {e}"],
    "person_when": ["when (is {e} (here|in|there|available)|does {e} (work|come|arrive|see people))", "when can i (see|meet|speak to|talk to) {e}", "is {e} (here|in|there|working) on {x}", "(what|which) days (is {e} here|does {e} work)", "~when {e} is (here|in)", "#on which days can i catch {e}", "is {e} here today"],
    "stops": ["where does {e} (stop|leave|go from)", "where is {e}", "where (do|can) i (get|catch|take|find) {e}", "where is the stop of {e}", "where do i take {e}", "~where {e} stops", "#from where does {e} go", "#i need to catch {e}", "how do i get to {e}"],
    "goes": ["where does {e} go [to]", "(does|where) {e} go (there|to)", "what is the destination of {e}", "#where will {e} take me", "where does {e} take me", "~where {e} goes"],
    "runs_every": ["how often does {e} (run|go|come|leave)", "when does {e} (leave|come|go|arrive)", "when is the next {e}", "how (often|frequently) is {e}", "~(how often|when) {e} (goes|runs|leaves|comes)", "#at what intervals does {e} run"],
    "checkin": ["when (is|can i|do i) check in", "what time is check in", "from when can i (check in|get my room|have my room)", "when can i (check in|get into my room|get my key)", "check in time", "i want to check in", "how early can i check in", "~when i can check in", "#when will my room be ready"],
    "checkout": ["when (is|do i have to) check out", "what time is check out", "(until when|till when|how long) can i (stay in|keep) my room", "when do i have to (leave my room|check out|leave)", "check out time", "i want to check out", "how late can i check out", "~when i have to check out", "#by when must i leave my room"],
    "address": ["what is (the|your) address", "what is the address here", "what street (is this|are we on|are you on)", "(tell me|give me) (the|your) address", "where are you located", "~what (the|your) address is", "where exactly is this", "#which street is this house on", "what address do i give the taxi"],
    "email": ["what is (the|your) (email|e-mail|mail) [address]", "(do you have|give me|can i have) an (email|e-mail) [address]", "how can i write to you", "where can i (write|send a message|send an email)", "~what (the|your) email [address] is", "#to which address do i mail you"],
    "parking": ["where can i park [my car]", "is there (parking|a car park|a parking lot|a place to park)", "do you have (parking|a car park)", "where do i (park|put my car|leave my car)", "parking", "can i park (here|my car here|somewhere)", "~where (i can park|to park)", "#where do the cars go"],
    "pay": ["(can i|do you|may i) (pay|accept|take) (by card|with a card|cards|credit cards|cash|with cash|card)", "how can i pay", "do you take (credit cards|cards|cash)", "what (payment|ways of paying) do you (take|accept)", "is cash ok", "can i pay with my phone", "~how i can pay", "#which cards are good here"],
    "smoke": ["(can|may) i smoke [here|inside|somewhere]", "where can i smoke", "is smoking (allowed|ok|permitted)", "is there a smoking area", "can you smoke (here|inside)", "#is it possible to have a cigarette"],
    "book": ["(do i|do we) (need to|have to) (book|reserve|make an appointment)", "how (do|can) i (book|reserve|make an appointment|register|sign up)", "where (do|can) i (book|reserve|register)", "can i (book|reserve) [a place|in advance]", "i (want|would like) to (book|make an appointment|reserve)", "do i need (an appointment|a reservation|a booking|to register)", "~how (i can book|to book)", "#is it necessary to reserve"],
    "lost": ["i (lost|have lost|can not find|forgot|left) my (bag|wallet|phone|umbrella|keys|jacket|hat|glasses|passport|ticket)", "(where is|is there a) lost and found", "did anyone find (my|a) (bag|wallet|phone|umbrella|ring)", "where do i (ask|go) for lost (things|property)", "i found a (wallet|phone|key|bag)", "#somebody left a (bag|phone) here"],
    "wheelchair": ["is (it|the building|this place|everything) (wheelchair accessible|accessible|barrier free)", "can i (come|get in|get around) (with|in) a wheelchair", "i am in a wheelchair", "is there (a ramp|wheelchair access|access for wheelchairs)", "do you have wheelchair access", "#how is it for people in a wheelchair", "my mother is in a wheelchair"],
    "temp": ["how (warm|cold|hot) is {e}", "what (temperature is {e}|is the temperature (of|in) {e})", "is {e} (warm|cold|heated|hot)", "~how (warm|cold) {e} is", "#what degrees has {e}"],
    "deep": ["how (deep|long|tall|high|heavy|wide|large) is {e}", "what is the (depth|length|height|weight|width) of {e}", "~how (deep|long|tall|high|heavy) {e} is", "#what does {e} measure"],
    "count": ["how many {e} (are there|do you have|have you got|are here)", "how many {e} [in total|here]", "what number of {e} do you have", "~how many {e} there are", "#what is the number of {e}"],
    "from": ["where (is|does) {e} (from|come from)", "where does {e} come from", "what country is {e} from", "~where {e} (is|comes) from", "#what is the origin of {e}"],
    "bring": ["what (do i|should i|must i|do we) (need|bring|have to bring|take) for {e}", "what (do i|should i) bring to {e}", "do i need (anything|something) for {e}", "~what (to bring|i need) for {e}", "#what is necessary for {e}"],
    "rule_general": ["what are the rules", "are there (any rules|rules)", "what (is|is not) allowed here", "what do i have to (know|observe)", "#what should i be careful about"],
}
# The same about the place itself.
Q.update({
    "open_us": ["(when|what time|at what time|#at what hour) do you open [up|again|today|tomorrow]", "(when|what time) do the doors open", "what is (your|the) opening time", "from (what time|when) are you open", "how early (can i come|do you open|are you open)", "when can i come [in|tomorrow|today]", "~(when|what time) you open", "#tell me your opening time", "when do you guys open", "what time can i come"],
    "close_us": ["(when|what time|at what time|#at what hour) do you (close|shut) [down|today|tonight]", "(how late|until when|till when|until what time|#to what time) are you open [today|tonight]", "what is (your|the) closing time", "when do the doors close", "how long (can i stay|are you open)", "when do i have to leave", "~(when|what time) you (close|shut)", "#till what time can we stay here", "when is closing time"],
    "hours_us": ["when are you open", "what are (your|the) (opening hours|hours|opening times|#business hours)", "(opening hours|opening times|your hours|hours)", "are you (open now|open today|open|still open|open right now|#open at the moment)", "what hours are you open", "when can i visit [you]", "~when you are open", "#what hours do you keep"],
    "onday_us": ["are you (open|closed|open|shut) on {x}", "(what about|how about) {x}", "can i come on {x}", "when are you open on {x}", "(what time|when) do you (open|close) on {x}", "(opening hours|hours) on {x}", "are you open {x}", "#do you open on {x}", "#would you be open on {x}"],
    "closedday_us": ["(on which day|which day|what day|on what day|which days|on what days) are you (closed|shut)", "when are you (closed|not open)", "are you open (every day|all week|daily|#seven days a week)", "(which|what) days are you open", "~(which|what) days you are (open|closed)", "#are there days when you do not open"],
})

# Questions that one wording cannot tell apart: nothing of such a group may be asked as "unknown"
# about an entity of which the prompt answers another of the group.
GROUPS = [{"open", "close", "hours", "onday", "closedday", "when", "about"}, {"open_us", "close_us", "hours_us", "onday_us", "closedday_us", "checkin", "checkout"},
          {"where", "exists", "isat", "venue", "stops", "person_at", "buy", "contact", "about", "goes"}, {"price", "free", "about"}, {"who_runs", "boss", "does", "called", "contact", "maker", "about"},
          {"entry", "pay"}, {"about", "temp", "deep"}, {"seats", "about", "deep", "count"}, {"phone", "contact"}, {"runs_every", "when", "stops"}, {"built", "about", "from", "maker"}, {"lasts", "about"}, {"allowed", "about"},
          {"langs", "about"}, {"bring", "about"}, {"sells", "about", "does"}, {"person_when", "person_at", "when"}, {"password", "network"}, {"age", "wheelchair"}, {"address", "where"},
          {"does", "person_at", "person_when", "called", "about"}]


def related(intent):
    return set().union({intent}, *(g for g in GROUPS if intent in g))


@dataclass
class Fact:
    key: str                             # the family
    entity: str                          # "the café", "dogs", US
    text: str                            # the sentence
    intents: tuple                       # what it answers
    slots: dict = field(default_factory=dict)
    kind: str = "thing"                  # thing, person, plural, action, us: what a pronoun for it is
    own: str = ""                        # the sentence before another fact was joined to it

    def __post_init__(self):
        self.own = self.text


@dataclass
class Place:
    """Whom and what a prompt is about; made by `dialogue`."""
    rng: object
    split: str
    name: str                            # "the Brunswater Museum"
    kind: str                            # "museum"
    attribute: str = ""                  # of the fact in the making, for `free`


FAMILIES = {}


def family(key, entity, texts, intents, kind="thing", weight=1.0, **slots):
    FAMILIES[key] = dict(entity=entity, texts=texts, intents=tuple(intents), kind=kind, weight=weight, slots=slots)


T = lambda p: w.clock_time(p.rng)
P = lambda p: w.price(p.rng)
D = lambda p: w.days(p.rng)
LOC = lambda p: n.location(p.rng, p.split)
WHO = lambda p: w.person(p.rng, p.split)
_of = lambda f: lambda p: f(p.rng, p.split)
SPACE, THING, EVENT, PLACE, ROLE = _of(n.space), _of(n.thing), _of(n.event), _of(n.place), _of(n.role)
ANY = lambda p: p.rng.choice((n.space, n.thing, n.event))(p.rng, p.split)
TOPIC = lambda p: n.noun(p.rng, n.TOPICS, p.split)
PLURAL = lambda p: n.noun(p.rng, n.GOODS_PLURAL, p.split)
_pick = lambda *pool: lambda p: p.rng.choice(pool)

family("open", SPACE, ["{e} opens at {v}", "{e} opens every day at {v}", "{e} is open from {v}", "{e} opens daily at {v}", "{e} opens its doors at {v}"], ["open", "hours"], v=T, weight=2)
family("close", SPACE, ["{e} closes at {v}", "{e} shuts at {v}", "{e} is open until {v}", "{e} closes every evening at {v}"], ["close", "hours"], v=T, weight=1.6)
family("hours", SPACE, ["{e} is open from {v} to {u}", "{e} is open between {v} and {u}", "{e} is open daily from {v} to {u}", "{e} is open {d} from {v} to {u}", "{e} opens at {v} and closes at {u}", "{e} is open from {v} until {u}"],
       ["open", "close", "hours"], v=T, u=T, d=lambda p: p.rng.choice((w.day_span(p.rng), "every day", "on " + w.days(p.rng))), weight=2.2)
family("closedday", SPACE, ["{e} is closed on {d}", "{e} does not open on {d}", "{e} stays closed on {d}", "{e} is open every day except {d}", "on {d} {e} is closed"], ["closedday", "onday"], d=D, weight=1.4)
family("dayspan", SPACE, ["{e} is open {d}", "{e} is only open {d}"], ["closedday", "onday", "hours"], d=lambda p: p.rng.choice((w.day_span(p.rng), "on " + w.days(p.rng), "on weekdays", "every day", "around the clock", "all day")), weight=0.8)
family("dayhours", SPACE, ["on {d} {e} is open from {v} to {u}", "on {d} {e} opens at {v}", "on {d} {e} is open until {v}"], ["onday"], d=D, v=T, u=T, weight=0.8)

family("open_us", US, ["{p} open{s} at {v}", "the doors open at {v}", "{p} open{s} every day at {v}"], ["open_us", "hours_us"], "us", v=T, weight=0.8)
family("close_us", US, ["{p} close{s} at {v}", "the doors close at {v}", "{p} {are} open until {v}"], ["close_us", "hours_us"], "us", v=T, weight=0.8)
family("hours_us", US, ["{p} {are} open from {v} to {u}", "{p} {are} open daily from {v} to {u}", "{p} {are} open {d} from {v} to {u}", "{p} {are} open between {v} and {u}", "{p} open{s} at {v} and close{s} at {u}", "our opening hours are {v} to {u}", "opening hours are from {v} to {u}"],
       ["open_us", "close_us", "hours_us"], "us", v=T, u=T, d=lambda p: p.rng.choice((w.day_span(p.rng), "every day", "on " + w.days(p.rng))), weight=1.6)
family("closed_us", US, ["{p} {are} closed on {d}", "{p} {are} open every day except {d}", "on {d} {p} {are} closed"], ["closedday_us", "onday_us"], "us", d=D, weight=1)
family("dayhours_us", US, ["on {d} {p} {are} open from {v} to {u}", "on {d} {p} open{s} at {v}", "on {d} {p} {are} open until {v}", "on {d} {p} close{s} at {v}"], ["onday_us"], "us", d=D, v=T, u=T, weight=0.8)

family("where", PLACE, ["{e} is {v}", "{e} is {v}", "you will find {e} {v}", "{e} is located {v}", "you find {e} {v}", "{e} can be found {v}", "to get to {e}, go {r}", "for {e} go {r}"],
       ["where", "exists"], v=LOC, r=_pick("straight on and turn left", "down the stairs", "up the stairs and turn right", "through the glass door", "past the cloakroom", "left and then right", "to the end of the corridor", "out of the door and turn right"), weight=6)
family("there_is", lambda p: n.place(p.rng, p.split), ["there is {a} {v}", "there is {a} {v}", "we have {a} {v}"], ["where", "exists"], v=LOC, weight=1.8)
family("there_are", PLURAL, ["there are {e} {v}", "{e} are {v}", "you will find {e} {v}", "{e} are available {v}", "you can get {e} {v}"], ["where_pl", "buy"], "plural", v=LOC, weight=0.8)

family("showtime", EVENT, ["{e} starts at {v}", "{e} begins at {v}", "{e} is at {v}", "{e} starts every day at {v}", "{e} is on {d} at {v}", "{e} takes place on {d} at {v}", "{e} is on {d}", "{e} takes place every {k}", "{e} starts on {o}"], ["when"], v=T, d=D, k=lambda p: w.day(p.rng), o=lambda p: w.date(p.rng), weight=2.5)
family("showboth", EVENT, ["{e} starts at {v} {l}", "{e} begins at {v} {l}", "{e} is at {v} {l}", "{e} takes place {l} at {v}", "{e} is on {d} {l}"], ["when", "venue"], v=T, l=LOC, d=D, weight=2)
family("venue", EVENT, ["{e} takes place {v}", "{e} is held {v}", "{e} is {v}", "{e} starts {v}", "{e} meets {v}"], ["venue", "exists"], v=LOC, weight=1.2)
family("meal", _pick("breakfast", "lunch", "dinner", "tea", "brunch", "supper"), ["{e} is served from {v} to {u}", "{e} is from {v} to {u}", "{e} is served from {v} to {u} {l}", "{e} is served {l} from {v} to {u}", "{e} is at {v}"], ["when", "open", "close", "hours"], v=T, u=T, l=LOC, weight=0.8)
family("ticket", _of(n.ticket), ["{e} costs {v}", "{e} is {v}", "the price of {e} is {v}", "{e} costs {v} for {g}"], ["price"], v=P, g=_pick("one person", "a day", "two people", "everyone", "visitors from the city"), weight=1.8)
family("item", _of(n.goods), ["{e} costs {v}", "{e} is {v}", "{e} is only {v}", "the price of {e} is {v}", "you pay {v} for {e}", "{e} costs {v} per {h}", "you can rent {e} for {v}", "{e} is free"], ["price"], v=P, h=_pick("hour", "day", "night", "person", "week", "piece"), weight=2.2)
family("free", _of(lambda r, s: n.noun(r, n.AMENITIES, s)), ["{e} is free", "{e} is free of charge", "{e} is included", "{e} is included in the price", "{e} is free for {g}", "{e} costs {v} extra", "{e} is not included", "{e} is free on {d}", "{e} costs {v}"], ["free"], v=P, d=D, g=_pick("guests", "children", "members", "students", "everyone"), weight=1)
family("entry", US, ["entry is {v}", "admission is {v}", "getting in costs {v}", "admission is free", "entry is free on {d}", "entry costs {v} for adults and {u} for children", "admission is {v}, and children pay {u}", "the entrance fee is {v}"], ["entry"], "us", v=P, u=P, d=D, weight=1)
family("runs", SPACE, ["{v} runs {e}", "{e} is run by {v}", "{v} is in charge of {e}", "the manager of {e} is {v}", "{v} manages {e}", "the head of {e} is {v}", "{v} works in {e}", "{v} is responsible for {e}"], ["who_runs"], v=WHO, weight=1.2)
family("boss", US, ["the director is {v}", "our director is {v}", "the boss here is {v}", "the director of {P} is {v}", "{v} is the director", "{v} is the owner", "our manager is {v}", "{v} owns the {k}"], ["boss"], "us", v=WHO, weight=0.7)
family("rule", _of(n.allowed), ["{e} are {v}", "{e} are {v}", "you may not bring {e}", "please do not bring {e}", "you may bring {e}", "no {e} are allowed", "{e} must stay {m}", "{e} are allowed {m}", "{e} are only allowed {m}", "{e} are not allowed {m}"],
       ["allowed"], "plural", v=_pick("not allowed", "allowed", "forbidden", "welcome", "only allowed outside", "allowed on a leash", "permitted", "not permitted", "prohibited", "fine"),
       m=lambda p: p.rng.choice(("outside", "at home", "in " + n.space(p.rng, p.split), "after " + w.clock_time(p.rng), "on " + w.days(p.rng), "without flash", "in the lockers")), weight=2.2)
family("wifi", US, ["the wifi password is {v}", "the password for the wifi is {v}", "the internet password is {v}", "the password of the wifi is {v}", "the guest wifi has the password {v}", "the wifi is free and the password is {v}"], ["password"], "us", v=_of(n.password), weight=1.2)
family("network", US, ["the wifi is called {v}", "the name of the wifi is {v}", "our network is called {v}"], ["network"], "us", v=_of(n.password), weight=0.3)
family("phone", lambda p: p.rng.choice((n.space(p.rng, p.split), n.role(p.rng, p.split), "security", "the emergency line", "room service", "the doctor", "the police")), ["the phone number of {e} is {v}", "the number of {e} is {v}", "you can reach {e} at {v}", "to call {e}, dial {v}", "the extension of {e} is {v}", "for {e} dial {v}"], ["phone"], v=lambda p: w.phone(p.rng), weight=1)
family("built", PLACE, ["{e} was built in {v}", "{e} was founded in {v}", "{e} dates from {v}", "{e} is from {v}", "{e} was opened in {v}", "{e} is {y} years old"], ["built"], v=lambda p: w.year(p.rng), y=lambda p: w.number(p.rng, p.rng.randint(2, 900)), weight=1)
family("maker", PLACE, ["{e} was made by {v}", "{e} was designed by {v}", "{e} is a work by {v}", "{v} made {e}", "{e} was painted by {v}", "{e} was built by {v}", "{v} designed {e}"], ["maker"], v=WHO, weight=0.9)
family("called", ROLE, ["{e} is called {v}", "the name of {e} is {v}", "{e} is {v}", "{v} is {e}", "our {b} is called {v}", "{e} here is {v}"], ["called"], v=WHO, weight=2)
family("person_job", WHO, ["{e} is {v}", "{e} works as {z}", "{e} takes care of {t}", "{e} is responsible for {t}", "{e} handles {t}", "{e} is our {b}"], ["does"], "person", v=ROLE, z=lambda p: w.article(n.noun(p.rng, n.ROLES, p.split)), b=lambda p: n.noun(p.rng, n.ROLES, p.split), t=TOPIC, weight=1)
family("person_at", WHO, ["{e} is {v}", "{e} sits {v}", "{e} works {v}", "the office of {e} is {v}", "{e}'s office is {v}", "you will find {e} {v}", "{e} has the office {v}"], ["person_at"], "person", v=LOC, weight=1.8)
family("person_when", WHO, ["{e} is here on {d}", "{e} is in from {v} to {u}", "{e} sees patients on {d}", "{e} works {k}", "{e} is on holiday until {o}", "{e} is here on {d} from {v} to {u}", "{e} starts at {v}"], ["person_when"], "person", v=T, u=T, d=D, k=lambda p: w.day_span(p.rng), o=lambda p: w.date(p.rng), weight=1)
family("special", US, ["the dish of the day is {v}", "today's special is {v}", "for lunch there is {v}", "today we serve {v}", "on the menu today is {v}", "the soup of the day is {i} soup"], ["special"], "us", v=lambda p: n.dish(p.rng), i=_pick(*n.INGREDIENTS), weight=0.7)
family("seats", SPACE, ["{e} holds {v} people", "{e} has room for {v} people", "{e} seats {v} people", "up to {v} people fit into {e}", "{e} has {v} seats", "{e} is for {v} people"], ["seats"], v=lambda p: w.number(p.rng, p.rng.choice((p.rng.randint(4, 60), p.rng.randint(10, 90) * 5))), weight=0.8)
family("lasts", EVENT, ["{e} lasts {v}", "{e} takes {v}", "{e} takes about {v}", "{e} is {v} long"], ["lasts"], v=lambda p: w.duration(p.rng), weight=1.2)
family("contact", TOPIC, ["for {e} ask {v}", "for {e} please see {v}", "{v} takes care of {e}", "for {e}, please ask {v}", "{v} can help you with {e}", "for {e} call {x}", "questions about {e} go to {v}", "for {e} go to {y}", "{v} handles {e}", "{v} is responsible for {e}"], ["contact"],
       v=lambda p: p.rng.choice((w.person(p.rng, p.split), w.person(p.rng, p.split) + " " + n.location(p.rng, p.split), n.role(p.rng, p.split), n.space(p.rng, p.split))), x=lambda p: w.phone(p.rng), y=SPACE, weight=1.6)
family("langs", EVENT, ["{e} is in {v}", "{e} is offered in {v}", "{e} is in {i}", "{e} is given in {v}"], ["langs"], v=lambda p: " and ".join(p.rng.sample(n.LANGUAGES, 2)), i=_pick(*n.LANGUAGES), weight=0.8)
family("age", US, ["children under {v} enter free", "children under {v} must stay with an adult", "the minimum age is {v}", "children under {v} pay nothing", "you have to be at least {v} years old", "children up to {v} are free", "children pay half"], ["age"], "us", v=lambda p: w.number(p.rng, p.rng.randint(2, 18)), weight=0.7)
family("state", ANY, ["{e} is {v}", "{e} is {v}", "{e} is currently {v}", "{e} is {v} until {o}"], ["about"], v=_pick(*n.STATES), o=lambda p: w.date(p.rng), weight=1.5)
family("sells", SPACE, ["{e} sells {v}", "{e} has {v}", "{e} sells {v} and {u}", "{e} offers {v} and {u}"], ["sells"], v=PLURAL, u=PLURAL, weight=1)
family("buy", PLURAL, ["you can buy {e} in {v}", "you can get {e} at {v}", "{e} are sold at {v}", "we sell {e} at {v}", "you can rent {e} at {v}", "{e} can be bought at {v}"], ["buy"], "plural", v=SPACE, weight=1.2)
family("stops", _of(n.transport), ["{e} stops {v}", "{e} stops right {v}", "{e} leaves {v}"], ["stops"], v=LOC, weight=0.7)
family("goes", _of(n.transport), ["{e} goes to {v}", "{e} takes you to {v}"], ["goes"], v=lambda p: p.rng.choice((n.space(p.rng, p.split), w.invented(p.rng, p.split).capitalize(), "the airport", "the city centre", "the station")), weight=0.5)
family("runs_every", lambda p: p.rng.choice((n.transport(p.rng, p.split), "the shuttle", "the ferry", "the airport bus", "the hotel bus")), ["{e} runs every {v}", "{e} leaves every {v}", "{e} leaves at {t}", "{e} goes every {v} from {t}"], ["runs_every"], v=_pick("ten minutes", "fifteen minutes", "20 minutes", "half hour", "hour", "two hours", "five minutes", "30 minutes"), t=T, weight=0.7)
family("checkin", US, ["check-in is from {v}", "check-in starts at {v}", "you can check in from {v}", "rooms are ready from {v}"], ["checkin"], "us", v=T, weight=0.5)
family("checkout", US, ["check-out is until {v}", "check-out is at {v}", "please check out by {v}", "you have to leave your room by {v}"], ["checkout"], "us", v=T, weight=0.5)
family("checkboth", US, ["check-in is from {v} and check-out is until {u}", "check-in starts at {v}, check-out is at {u}"], ["checkin", "checkout"], "us", v=T, u=T, weight=0.25)
family("address", US, ["the address is {v}", "our address is {v}", "{p} {are} at {v}"], ["address"], "us", v=lambda p: f"{w.number(p.rng, p.rng.randint(1, 199))} {w.invented(p.rng, p.split).capitalize()} {p.rng.choice(('Street', 'Road', 'Lane', 'Square', 'Avenue'))}", weight=0.5)
family("email", US, ["our email address is {v}", "the email is {v}", "you can write to {v}"], ["email"], "us", v=lambda p: f"{p.rng.choice(('info', 'office', 'hello', 'desk', 'post'))} at {w.invented(p.rng, p.split)} dot {p.rng.choice(('com', 'org', 'eu', 'net'))}", weight=0.4)
family("parking", US, ["you can park {v}", "parking is {v}", "the car park is {v}", "there is parking {v}", "parking is {v} and costs {u}"], ["parking"], "us", v=LOC, u=P, weight=0.6)
family("pay", US, ["you can pay {v}", "we take {v}", "we accept {v}", "we do not take credit cards", "you can only pay in cash", "you can pay by card or in cash"], ["pay"], "us", v=_pick("by card", "cash only", "in cash", "with all cards", "cards and cash", "by phone", "with credit cards", "only by card"), weight=0.5)
family("smoke", US, ["smoking is {v}", "smoking is only allowed {l}", "you can smoke {l}", "please do not smoke inside"], ["smoke"], "us", v=_pick("not allowed", "forbidden", "only allowed outside", "not permitted anywhere"), l=LOC, weight=0.4)
family("book", US, ["you can book at {v}", "you do not need to book", "please book at {v}", "you need to book in advance", "appointments are made at {v}", "please make an appointment by phone", "no appointment is needed", "bookings are made at {v}"], ["book"], "us", v=SPACE, weight=0.6)
family("lost", US, ["lost things are kept at {v}", "lost and found is at {v}", "lost property is kept at {v}", "the lost property is {l}"], ["lost"], "us", v=SPACE, l=LOC, weight=0.5)
family("wheelchair", US, ["the building is wheelchair accessible", "there is a wheelchair ramp {v}", "the entrance for wheelchairs is {v}", "wheelchairs can be borrowed at {s}", "the ground floor is wheelchair accessible"], ["wheelchair"], "us", v=LOC, s=SPACE, weight=0.5)
family("temp", SPACE, ["{e} is {v} degrees warm", "the water in {e} has {v} degrees", "{e} has {v} degrees", "{e} is heated to {v} degrees"], ["temp"], v=lambda p: w.number(p.rng, p.rng.randint(4, 95)), weight=0.5)
family("measure", PLACE, ["{e} is {v} {m}"], ["deep"], v=lambda p: w.number(p.rng, p.rng.randint(2, 120)), m=_pick("metres long", "metres deep", "metres high", "feet tall", "centimetres wide", "tons heavy", "kilos heavy"), weight=0.6)
family("count", lambda p: n.noun(p.rng, ["rooms", "lanes", "floors", "seats", "beds", "tables", "books", "paintings", "pools", "doctors", "parking spaces", "animals", "employees", "lifts", "stairs", "windows", "saunas", "computers", "boats", "students", "slides"], p.split),
       ["there are {v} {e}", "we have {v} {e}", "{P} has {v} {e}", "the {k} has {v} {e}"], ["count"], "plural", v=lambda p: w.number(p.rng, p.rng.choice((p.rng.randint(2, 60), p.rng.randint(2, 900)))), weight=0.6)
family("from", lambda p: p.rng.choice((n.thing, n.role))(p.rng, p.split), ["{e} comes from {v}", "{e} is from {v}", "{e} came from {v}"], ["from"], v=lambda p: p.rng.choice(("Egypt", "Japan", "India", "Norway", "Peru", "Kenya", "Greece", "China", "Mexico", "Italy", w.invented(p.rng, p.split).capitalize())), weight=0.5)
family("bring", EVENT, ["for {e} you need {v}", "for {e} please bring {v}", "please bring {v} to {e}", "you need {v} for {e}"], ["bring"], v=lambda p: p.rng.choice((w.article(p.rng.choice(("ticket", "towel", "swim cap", "passport", "warm jacket", "pen", "mat", "helmet", "membership card"))), "comfortable shoes", "a pen and paper", "your insurance card", "an identity card")), weight=0.5)
Q["where_pl"] = ["where are {e}", "where (can|do) i (find|get) {e}", "are there {e} [here]", "do you have {e}", "i need {e}", "i am looking for {e}", "~where (the|) {e} are", "#have you seen any {e}"]
GROUPS[2].add("where_pl")


_US_NOUN = lambda p: p.rng.choice((f"the {p.kind}", f"the {p.kind}", "the house", "the building", p.name))


def make(key, p):
    """A new fact of family `key` for the place `p`."""
    f = FAMILIES[key]
    e = f["entity"](p) if callable(f["entity"]) else f["entity"]
    slots = {k: s(p) for k, s in f["slots"].items()}
    if p.rng.random() < 0.55:
        us = dict(p="we", s="", are="are")
    else:
        us = dict(p=_US_NOUN(p), s="s", are="is")
    bare = e[4:] if e.startswith("the ") else e
    text = p.rng.choice(f["texts"])
    used = {k: v for k, v in slots.items() if "{" + k + "}" in text}
    text = text.format(**{**us, "k": p.kind, "b": bare, "e": e, "a": w.article(bare), "P": p.name, **slots})
    if n.is_plural(e):
        for one, many in ((" is ", " are "), (" was ", " were "), (" has ", " have "), (" sells ", " sell "), (" comes ", " come ")):
            text = text.replace(e + one, e + many)
    return Fact(key, e, w.cap(text) + ("" if text.endswith(".") else "."), f["intents"], used, f["kind"])
