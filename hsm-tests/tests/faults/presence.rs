//! Tokens that are pulled and put in again.

use std::time::{Duration, Instant};

use chancery_proto::v1::{ListKeysRequest, TokenState, key_service_client::KeyServiceClient};
use hsm_tests::{daemon::Setup, people::Person};

use crate::{
    assert_every_intent_has_its_outcome, block_on,
    client::{Client, reason},
};

/// A token that comes or goes is noticed within that time.
const NOTICED: Duration = Duration::from_secs(2);

/// What a busy machine may add.
const SLACK: Duration = Duration::from_millis(1500);

#[test]
fn a_pulled_token_is_absent_with_its_keys_listed_and_its_neighbour_does_not_notice() {
    let daemon = Setup::new()
        .faulty()
        .token("first", &[Person::Alice])
        .token("second", &[Person::Carol])
        .start()
        .unwrap();
    let serial = &daemon.token("first").unwrap().serial;
    let first = daemon.faults().unwrap().token(serial).unwrap();
    let processes = daemon.children().unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        let signature = client.sign(Person::Alice, 7).await.unwrap();
        let generation = client.token("second").await.generation;
        for _ in 0..2 {
            let pulled = Instant::now();
            first.pull().unwrap();
            let neighbour = tokio::spawn({
                let client = client.clone();
                async move {
                    let mut signed = 0;
                    loop {
                        client.sign(Person::Carol, 7).await.unwrap();
                        signed += 1;
                        if pulled.elapsed() > NOTICED {
                            return signed;
                        }
                    }
                }
            });
            client
                .token_when("first", |token| token.state() == TokenState::Absent)
                .await
                .unwrap();
            assert!(
                pulled.elapsed() < NOTICED + SLACK,
                "noticed after {:?}",
                pulled.elapsed()
            );
            let status = client.sign(Person::Alice, 7).await.unwrap_err();
            assert_eq!(reason(&status), "TOKEN_ABSENT");
            let listed = KeyServiceClient::new(daemon.channel().await.unwrap())
                .list_keys(ListKeysRequest::default())
                .await
                .unwrap()
                .into_inner()
                .keys;
            let available = |name: &str| {
                let key = listed.iter().find(|key| key.name == name).unwrap();
                key.replicas.iter().any(|replica| replica.available)
            };
            assert!(!available(&Person::Alice.signing().key().unwrap()));
            assert!(available(&Person::Carol.signing().key().unwrap()));

            let back = Instant::now();
            first.put_back().unwrap();
            client.ready("first").await.unwrap();
            assert!(back.elapsed() < NOTICED + SLACK, "noticed after {:?}", back.elapsed());
            assert_eq!(client.sign(Person::Alice, 7).await.unwrap(), signature);
            assert!(neighbour.await.unwrap() > 0);
        }
        assert_eq!(client.token("second").await.generation, generation);
    });
    assert_eq!(daemon.children().unwrap(), processes, "nothing was started anew for it");
    assert_every_intent_has_its_outcome(&daemon);
}
