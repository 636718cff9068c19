//! Everything at once: thirty seconds of mixed load while faults come at random.
//!
//! The first line of a failing test's output is the seed; `FAULT_SEED` in the environment makes the faults come the same way
//! again, as far as the machine lets them.

mod held;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use chancery_token::remedy::{RULES, Says};
use cryptoki_sys::{CK_RV, CKR_NO_EVENT};
use hsm_tests::{
    daemon::{Daemon, Setup},
    people::Person,
    softhsm::fault::{Fault, Faults},
};
use tokio::task::JoinSet;
use tonic::{Code, Status};

use crate::{
    assert_every_intent_has_its_outcome, block_on,
    client::{Client, PLAINTEXT, ciphertext, reason},
};
use held::Held;

/// How long the faults come.
const STORM: Duration = Duration::from_secs(30);

/// Callers of each person's keys.
const CALLERS: u64 = 4;

/// Whatever happens, a request has its answer by then: the deadline is a second, and a process may take as long to come back.
const ANSWERED: Duration = Duration::from_secs(15);

/// Answers that each person has at least. A caller alone, whose token is never well, has none.
const ENOUGH: u64 = 50;

/// Processes that may be lost by one module: one more, and it rests for longer than is left of the storm.
const LETHAL: u32 = 4;

/// Functions that answer errors. Not among them: C_Login, since the daemon does not go on trying PINs; and those whose
/// errors mean that a session stays open. The more often here, the more often struck.
const FALLIBLE: [&str; 16] = [
    "C_SignInit",
    "C_SignInit",
    "C_SignInit",
    "C_Sign",
    "C_Sign",
    "C_Sign",
    "C_DecryptInit",
    "C_DecryptInit",
    "C_Decrypt",
    "C_OpenSession",
    "C_GetSessionInfo",
    "C_GetTokenInfo",
    "C_GetSlotList",
    "C_GetMechanismList",
    "C_FindObjectsInit",
    "C_GetAttributeValue",
];

/// What a caller may be told of a token in a storm. Whatever else is a defect.
const EXPECTED: [&str; 12] = [
    "DEADLINE_EXCEEDED",
    "DECRYPTION_FAILED",
    "INPUT_REFUSED",
    "KEY_ROLE_MISMATCH",
    "MECHANISM_UNSUPPORTED",
    "MODULE_ENDED",
    "QUEUE_FULL",
    "TOKEN_ABSENT",
    "TOKEN_ERROR",
    "TOKEN_FAILED",
    "TOKEN_LOCKED",
    "TOKEN_TIMEOUT",
];

/// Modules in front of which there is a storm, with their tokens and whose keys are on them.
const STRUCK: [(&str, &[(&str, Person)]); 2] = [
    ("softhsm", &[("first", Person::Alice), ("second", Person::Frank)]),
    ("other", &[("third", Person::Bob)]),
];

/// xorshift64*: all that is asked of it is that it can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end
    }

    fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        let index = self.below(among.len() as u64);
        &among[usize::try_from(index).unwrap()]
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }
}

#[test]
fn in_a_storm_of_faults_every_request_has_one_outcome_nothing_leaks_and_what_is_healthy_serves() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = std::env::var("FAULT_SEED").map_or(now.subsec_nanos().into(), |seed| seed.parse().unwrap());
    eprintln!("FAULT_SEED={seed}");
    let mut setup = Setup::new()
        .configure("limits", "call_deadline = \"1s\"\ncall_grace = \"500ms\"")
        .log_level("info")
        .faulty();
    for (module, tokens) in STRUCK {
        if module != STRUCK[0].0 {
            setup = setup.module(module);
        }
        for (token, person) in tokens {
            setup = setup.token(token, &[*person]);
        }
    }
    let daemon = setup.module("sound").token("calm", &[Person::Carol]).start().unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        let known = Arc::new(Known::new(&client).await);
        rush(&daemon, &known, seed, Instant::now() + Duration::from_secs(1)).await;
        let before = Held::now(&daemon);
        let over = Instant::now() + STORM;
        let (outcomes, ()) = tokio::join!(rush(&daemon, &known, seed, over), strike(&daemon, seed, over));
        eprintln!("{outcomes:#?}");
        for (person, outcomes) in &outcomes {
            let answered = outcomes.get("answered").copied().unwrap_or_default();
            assert!(answered > ENOUGH, "{person} had hardly any answer: {outcomes:?}");
        }
        for (module, tokens) in STRUCK {
            daemon.faults_of(module).unwrap().take_back_all().unwrap();
            for (token, person) in tokens {
                pulled(&daemon, module, token, false);
                client.ready(token).await.unwrap();
                client.serves_again(*person).await.unwrap();
                let plaintext = client.decrypt(*person, &known.of(*person).ciphertext).await;
                assert_eq!(plaintext.unwrap(), PLAINTEXT);
            }
        }
        before.assert_nothing_is_left(&daemon, &client).await;
    });
    assert_every_intent_has_its_outcome(&daemon);
    assert_outcomes_are_unique(&daemon);
}

/// What the answers have to be.
struct Known(Vec<KnownOf>);

struct KnownOf {
    person: Person,
    /// By the number that is signed.
    signatures: Vec<Vec<u8>>,
    ciphertext: Vec<u8>,
}

impl Known {
    async fn new(client: &Client) -> Self {
        let mut known = Vec::new();
        for (_, person) in STRUCK.iter().flat_map(|(_, tokens)| *tokens) {
            let mut signatures = Vec::new();
            for number in 0..8 {
                signatures.push(client.sign(*person, number).await.unwrap());
            }
            known.push(KnownOf {
                person: *person,
                signatures,
                ciphertext: ciphertext(*person),
            });
        }
        Self(known)
    }

    fn of(&self, person: Person) -> &KnownOf {
        self.0.iter().find(|known| known.person == person).unwrap()
    }
}

/// How often which outcome was had.
type Outcomes = BTreeMap<String, u64>;

/// Everybody asks for signatures and decryptions until it is over. What came of it, for each person.
async fn rush(daemon: &Daemon, known: &Arc<Known>, seed: u64, over: Instant) -> BTreeMap<String, Outcomes> {
    let mut callers = JoinSet::new();
    let people = known.0.iter().map(|known| known.person).chain([Person::Carol]);
    for (person, number) in people.flat_map(|person| (1..=CALLERS).map(move |number| (person, number))) {
        let random = Random(seed.rotate_left(u32::try_from(number).unwrap()) | 1);
        let (client, known) = (Client::of(daemon).await, Arc::clone(known));
        callers.spawn(async move { (person, call(client, person, known, random, over).await) });
    }
    let mut outcomes: BTreeMap<String, Outcomes> = BTreeMap::new();
    while let Some(had) = callers.join_next().await {
        let (person, had) = had.unwrap();
        let outcomes = outcomes.entry(format!("{person:?}")).or_default();
        for (outcome, count) in had {
            *outcomes.entry(outcome).or_default() += count;
        }
    }
    outcomes
}

async fn call(client: Client, person: Person, known: Arc<Known>, mut random: Random, over: Instant) -> Outcomes {
    let mut outcomes = BTreeMap::new();
    while Instant::now() < over {
        let number = random.below(8);
        let kind = random.below(10);
        let outcome = tokio::time::timeout(ANSWERED, async {
            match kind {
                // The caller goes away.
                0 => {
                    let asked = client.sign(person, 0);
                    match tokio::time::timeout(random.millis(1, 40), asked).await {
                        Ok(answer) => judge(person, &known, 0, answer),
                        Err(_) => "abandoned".to_owned(),
                    }
                }
                // The caller is in a hurry; its own side may give up first, and has no reason then.
                1 => match client.sign_within(person, 0, Some(random.millis(5, 400))).await {
                    Err(status) if matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded) => {
                        "too late".to_owned()
                    }
                    answer => judge(person, &known, 0, answer),
                },
                2 | 3 if person != Person::Carol => match client.decrypt(person, &known.of(person).ciphertext).await {
                    Ok(plaintext) => {
                        assert_eq!(plaintext, PLAINTEXT, "another plaintext");
                        "answered".to_owned()
                    }
                    Err(status) => expected(person, &status),
                },
                _ => {
                    let number = u8::try_from(number).unwrap();
                    judge(person, &known, number, client.sign(person, number).await)
                }
            }
        });
        let Ok(outcome) = outcome.await else {
            panic!("{person:?} has no answer after {ANSWERED:?}")
        };
        let failed = outcome != "answered";
        *outcomes.entry(outcome).or_default() += 1;
        if failed {
            // Who is refused does not come back at once.
            let again = Instant::now() + random.millis(1, 20);
            tokio::time::sleep_until(again.into()).await;
        }
    }
    outcomes
}

fn judge(person: Person, known: &Known, number: u8, answer: Result<Vec<u8>, Status>) -> String {
    match answer {
        Ok(signature) => {
            let differs = person != Person::Carol && known.of(person).signatures[usize::from(number)] != signature;
            assert!(!differs, "{person:?} has the signature of something else");
            "answered".to_owned()
        }
        Err(status) => expected(person, &status),
    }
}

fn expected(person: Person, status: &Status) -> String {
    let reason = reason(status);
    assert_ne!(person, Person::Carol, "the token that nothing happens to: {status:?}");
    assert!(EXPECTED.contains(&reason.as_str()), "{status:?}");
    reason
}

/// Faults, until it is over.
async fn strike(daemon: &Daemon, seed: u64, over: Instant) {
    let mut random = Random(seed | 1);
    let mut lethal = [LETHAL; STRUCK.len()];
    let values: Vec<(CK_RV, &str, Says)> = RULES
        .iter()
        .flat_map(|rule| rule.ckrs.iter().map(|(ckr, name)| (*ckr, *name, rule.says)))
        .filter(|(ckr, ..)| *ckr != CKR_NO_EVENT)
        .collect();
    while Instant::now() < over {
        let struck = usize::try_from(random.below(STRUCK.len() as u64)).unwrap();
        let (module, tokens) = STRUCK[struck];
        let faults = daemon.faults_of(module).unwrap();
        let operation = *random.pick(&["C_SignInit", "C_Sign", "C_DecryptInit", "C_Decrypt"]);
        let said = match random.below(20) {
            0..=10 => {
                let (ckr, name, says) = *random.pick(&values);
                let function = match *random.pick(&FALLIBLE) {
                    // An object of which it says this is not listed.
                    "C_GetAttributeValue" if says == Says::Object => "C_FindObjectsInit",
                    function => function,
                };
                let fault = Fault::answer(ckr).times(u32::try_from(1 + random.below(4)).unwrap());
                faults.put(function, fault).unwrap();
                format!("{function} answers {name}")
            }
            11..=13 => {
                let time = random.millis(5, 150);
                faults.put(operation, Fault::delay(time).times(10)).unwrap();
                format!("{operation} takes {time:?}")
            }
            14 | 15 => {
                faults.put(operation, Fault::hang().once()).unwrap();
                pause(random.millis(50, 400)).await;
                faults.take_back(operation).unwrap();
                faults.go_on(operation).unwrap();
                format!("{operation} hung for a while")
            }
            16 | 17 => {
                let (token, _) = *random.pick(tokens);
                pulled(daemon, module, token, true);
                pause(random.millis(50, 900)).await;
                pulled(daemon, module, token, false);
                format!("{token} was out")
            }
            _ if lethal[struck] > 0 => {
                lethal[struck] -= 1;
                let fault = *random.pick(&[Fault::segfault(), Fault::abort(), Fault::exit(0), Fault::hang()]);
                faults.put(operation, fault.once()).unwrap();
                format!("{operation} ends its process: {fault:?}")
            }
            _ => continue,
        };
        eprintln!("{module}: {said}");
        pause(random.millis(20, 250)).await;
    }
}

/// A storm has its own pace: nothing is waited for.
async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

fn pulled(daemon: &Daemon, module: &str, token: &str, out: bool) {
    let faults: &Faults = daemon.faults_of(module).unwrap();
    let token = faults.token(&daemon.token(token).unwrap().serial).unwrap();
    if out { token.pull() } else { token.put_back() }.unwrap();
}

/// No intent has two outcomes, and no outcome is without its intent.
fn assert_outcomes_are_unique(daemon: &Daemon) {
    let records = daemon.audit().unwrap();
    let of = |event: &str, number: &str| -> Vec<u64> {
        let numbers = records.iter().filter(|record| record["event"] == event);
        let mut numbers: Vec<_> = numbers.map(|record| record[number].as_u64().unwrap()).collect();
        numbers.sort_unstable();
        numbers
    };
    assert_eq!(of("intent", "seq"), of("outcome", "intent"));
}
