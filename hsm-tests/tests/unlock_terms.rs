//! Tokens that are unlocked for a time or a number of uses: what happens when that is over.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::{num::NonZeroU64, time::Duration};

use chancery::{
    Client, Error, Pin as SentPin, UnlockTerms,
    v1::{Token, TokenState},
};
use cryptoki_sys::CKR_MECHANISM_INVALID;
use hsm_tests::{
    daemon::{Daemon, PIN, Pin, Setup, WRONG_PIN},
    people::Person,
    softhsm::fault::Fault,
};
use tokio::time::timeout;

/// Longer than anything takes that is waited for here.
const DEADLINE: Duration = Duration::from_secs(20);

/// How often a race is run.
const ROUNDS: usize = 30;

const LETTER: &[u8] = b"From: alice@example.org\r\n\r\nHello\r\n";

struct Scene {
    daemon: Daemon,
    client: Client,
}

impl Scene {
    async fn start(pin: Pin) -> Self {
        let setup = Setup::new()
            .configure("limits", "absent_wait = \"0s\"")
            .token_with_pin("card", &[Person::Alice], pin)
            .faulty();
        // The harness waits for the tokens in a runtime of its own.
        let daemon = tokio::task::spawn_blocking(|| setup.start()).await.unwrap().unwrap();
        let client = Client::connect(&daemon.address()).await.unwrap();
        let scene = Self { daemon, client };
        if pin == Pin::None {
            scene.until_locked().await;
        }
        scene
    }

    async fn unlock(&self, pin: &str, expire_after: Option<Duration>, max_uses: Option<u64>) -> Result<Token, Error> {
        let pin = SentPin::new(pin.as_bytes().to_vec()).unwrap();
        let max_uses = max_uses.and_then(NonZeroU64::new);
        let terms = UnlockTerms {
            expire_after,
            max_uses,
            ..UnlockTerms::default()
        };
        self.client.unlock_on("tokens/card", pin, terms).await
    }

    async fn sign(&self) -> Result<(), Error> {
        self.client
            .sign(Default::default(), LETTER, &mut Vec::new())
            .await
            .map(drop)
    }

    async fn assert_signing_is_refused(&self) {
        let error = self.sign().await.unwrap_err();
        assert!(error.to_string().contains("locked"), "{error}");
    }

    /// The token once it is locked.
    async fn until_locked(&self) -> Token {
        self.until(TokenState::Locked).await
    }

    /// The token once it stands so.
    async fn until(&self, state: TokenState) -> Token {
        let mut watch = self.client.watch_tokens(None).await.unwrap();
        let wait = async {
            loop {
                let told = watch.next().await.unwrap().expect("the daemon still runs");
                if let Some(token) = told.tokens.into_iter().find(|token| token.state() == state) {
                    return token;
                }
            }
        };
        let waited = timeout(DEADLINE, wait).await;
        waited.unwrap_or_else(|_| panic!("the token is not {state:?}"))
    }

    async fn token(&self) -> Token {
        self.client.tokens().await.unwrap().remove(0)
    }

    fn calls(&self, function: &str) -> u64 {
        self.daemon.faults().unwrap().of(function).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_its_uses_a_token_is_locked_and_wants_its_pin() {
    let scene = Scene::start(Pin::None).await;
    let token = scene.unlock(PIN, None, Some(2)).await.unwrap();
    assert_eq!((token.state(), token.unlock_uses_left), (TokenState::Ready, Some(2)));
    scene.sign().await.unwrap();
    assert_eq!(scene.token().await.unlock_uses_left, Some(1));
    scene.sign().await.unwrap();
    scene.assert_signing_is_refused().await;
    scene.until_locked().await;
    assert_eq!((scene.calls("C_Sign"), scene.calls("C_Logout")), (2, 1));
    let records = scene.daemon.audit().unwrap();
    let said = records
        .iter()
        .any(|record| record.to_string().contains("card: the uses for which"));
    assert!(said, "{records:?}");

    let token = scene.unlock(PIN, None, None).await.unwrap();
    assert_eq!((token.unlock_uses_left, token.unlock_expire_time), (None, None));
    for _ in 0..3 {
        scene.sign().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_no_more_than_the_uses_reach_the_token() {
    let scene = Scene::start(Pin::None).await;
    scene.unlock(PIN, None, Some(5)).await.unwrap();
    let calls: Vec<_> = (0..40)
        .map(|_| {
            let client = scene.client.clone();
            tokio::spawn(async move { client.sign(Default::default(), LETTER, &mut Vec::new()).await.is_ok() })
        })
        .collect();
    let mut signed = 0;
    for call in calls {
        signed += u32::from(call.await.unwrap());
    }
    assert_eq!((signed, scene.calls("C_Sign")), (5, 5));
    scene.until_locked().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_of_a_token_that_is_still_being_unlocked_spends_no_use() {
    let scene = Scene::start(Pin::None).await;
    // Its keys are known from then on.
    scene.unlock(PIN, None, None).await.unwrap();
    scene.client.lock("tokens/card").await.unwrap();
    let faults = scene.daemon.faults().unwrap();
    faults.put("C_Login", Fault::hang()).unwrap();
    let unlocking = tokio::spawn({
        let client = scene.client.clone();
        let terms = UnlockTerms {
            max_uses: NonZeroU64::new(2),
            ..UnlockTerms::default()
        };
        let pin = SentPin::new(PIN.as_bytes().to_vec()).unwrap();
        async move { client.unlock_on("tokens/card", pin, terms).await }
    });
    let hangs = async {
        while faults.hits("C_Login").unwrap() == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, hangs).await.expect("nobody logs in");
    for _ in 0..5 {
        scene.assert_signing_is_refused().await;
    }
    faults.take_back_all().unwrap();
    let token = unlocking.await.unwrap().unwrap();
    assert_eq!((token.state(), token.unlock_uses_left), (TokenState::Ready, Some(2)));
    scene.sign().await.unwrap();
    scene.sign().await.unwrap();
    scene.assert_signing_is_refused().await;
    assert_eq!(scene.calls("C_Sign"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_of_a_token_that_is_away_spends_no_use() {
    let scene = Scene::start(Pin::None).await;
    scene.unlock(PIN, None, Some(2)).await.unwrap();
    let serial = &scene.daemon.token("card").unwrap().serial;
    let card = scene.daemon.faults().unwrap().token(serial).unwrap();
    card.pull().unwrap();
    // The first of these may find out that it is away.
    for _ in 0..5 {
        scene.sign().await.unwrap_err();
    }
    card.put_back().unwrap();
    let token = scene.until(TokenState::Ready).await;
    assert_eq!(token.unlock_uses_left, Some(2));
    scene.sign().await.unwrap();
    scene.sign().await.unwrap();
    scene.assert_signing_is_refused().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_token_refuses_before_it_uses_the_key_spends_no_use() {
    let scene = Scene::start(Pin::None).await;
    scene.unlock(PIN, None, Some(1)).await.unwrap();
    let faults = scene.daemon.faults().unwrap();
    faults
        .put("C_SignInit", Fault::answer(CKR_MECHANISM_INVALID).once())
        .unwrap();
    scene.sign().await.unwrap_err();
    assert_eq!(scene.token().await.unlock_uses_left, Some(1));
    scene.sign().await.unwrap();
    scene.until_locked().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_use_is_spent_where_nobody_knows_whether_it_was_made() {
    let scene = Scene::start(Pin::None).await;
    scene.unlock(PIN, None, Some(1)).await.unwrap();
    let faults = scene.daemon.faults().unwrap();
    faults
        .put("C_Sign", Fault::segfault().behind_the_call().once())
        .unwrap();
    // Without a limit the next process would have been given it.
    scene.sign().await.unwrap_err();
    scene.until_locked().await;
    scene.assert_signing_is_refused().await;
    assert_eq!(scene.calls("C_Sign"), 1);

    // The next process has it for another use.
    scene.unlock(PIN, None, Some(2)).await.unwrap();
    faults
        .put("C_Sign", Fault::segfault().behind_the_call().once())
        .unwrap();
    scene.sign().await.unwrap();
    scene.until_locked().await;
    assert_eq!(scene.calls("C_Sign"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_its_time_is_up_a_token_is_locked_by_itself() {
    let scene = Scene::start(Pin::None).await;
    let token = scene
        .unlock(PIN, Some(Duration::from_secs(1)), Some(1000))
        .await
        .unwrap();
    assert!(token.unlock_expire_time.is_some());
    scene.until_locked().await;
    assert_eq!(scene.calls("C_Logout"), 1);
    scene.assert_signing_is_refused().await;
    assert_eq!(scene.calls("C_Sign"), 0);
    scene.unlock(PIN, Some(Duration::from_secs(3600)), None).await.unwrap();
    scene.sign().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn terms_can_be_replaced_with_the_right_pin_alone() {
    let scene = Scene::start(Pin::Right).await;
    scene.unlock(PIN, None, Some(3)).await.unwrap();
    scene.sign().await.unwrap();
    scene.unlock(WRONG_PIN, None, Some(1000)).await.unwrap_err();
    scene.unlock(WRONG_PIN, None, None).await.unwrap_err();
    assert_eq!(scene.token().await.unlock_uses_left, Some(2));
    scene.unlock(PIN, None, Some(1)).await.unwrap();
    scene.sign().await.unwrap();
    scene.until_locked().await;
    assert_eq!(scene.calls("C_Sign"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_that_is_none_is_refused_before_the_pin_is_tried() {
    let scene = Scene::start(Pin::None).await;
    for time in [Duration::ZERO, Duration::from_secs(367 * 24 * 60 * 60), Duration::MAX] {
        let error = scene.unlock(PIN, Some(time), None).await.unwrap_err();
        assert!(error.to_string().contains("366 days"), "{error}");
    }
    assert_eq!(scene.calls("C_Login"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sends_a_wrong_pin_at_the_same_time_takes_no_limit_away() {
    let scene = Scene::start(Pin::None).await;
    for _ in 0..ROUNDS {
        let (wrong, right) = tokio::join!(scene.unlock(WRONG_PIN, None, None), scene.unlock(PIN, None, Some(1)));
        wrong.unwrap_err();
        right.unwrap();
        assert_eq!(scene.token().await.unlock_uses_left, Some(1));
        scene.client.lock("tokens/card").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_at_the_same_time_takes_no_limit_away() {
    let scene = Scene::start(Pin::None).await;
    for _ in 0..ROUNDS {
        scene.unlock(PIN, None, Some(7)).await.unwrap();
        let (locked, unlocked) = tokio::join!(scene.client.lock("tokens/card"), scene.unlock(PIN, None, Some(1)));
        locked.unwrap();
        unlocked.unwrap();
        let token = scene.token().await;
        let limit = (token.state() == TokenState::Ready).then_some(1);
        assert_eq!(token.unlock_uses_left, limit, "{token:?}");
    }
}
