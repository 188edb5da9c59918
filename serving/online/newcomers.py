"""A customer whom the scoring does not contain, admitted to it with what is known: for one decision."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from features.arrays.history import History, Vocabulary
from models.policy.actions import CHANNELS
from models.policy.standing import Standing, draw_held_out
from models.policy.subjects import People

if TYPE_CHECKING:
    from models.decisions.known import Known
    from serving.scoring.snapshot import Snapshot
    from serving.state import State


def admitted(state: "State", customer_id: str) -> "State":
    """Return the state of a scoring that contains this customer alone, as of before their first order.

    Consent, contacts and birthday are those the shop's tables named at the scoring, else unknown. An effect
    learnt for every customer is, for one who was not there, the mean.
    """
    snapshot, alone = state.snapshot, Vocabulary.of([customer_id])
    known = None if snapshot.registered is None else snapshot.registered.take(customer_id)
    standing, n_contacts = known or (_unheard_of(snapshot, alone), np.zeros(1, np.int32))
    people = People(standing.consent[:, EMAIL], n_contacts, snapshot.people.consent_recorded)
    new = replace(
        snapshot,
        customers=alone,
        people=people,
        known=None if snapshot.known is None else _known(snapshot.known, standing),
        history=None if snapshot.history is None else _empty(snapshot.history, alone),
    )
    return replace(state, snapshot=new)


EMAIL = CHANNELS.index("email")


def _unheard_of(snapshot: "Snapshot", alone: Vocabulary) -> Standing:
    policy, standing = snapshot.policy, Standing.unknown(1)
    return replace(
        standing, held_out=draw_held_out(alone.ids, policy.held_out_share, salt=policy.held_out_salt)
    )


def _known(known: "Known", standing: Standing) -> "Known":
    learnt = {name: np.array([np.nanmean(change)]) for name, change in known.learnt.items()}
    return replace(known, standing=standing, learnt=learnt)


def _empty(history: History, alone: Vocabulary) -> History:
    nothing = history.of_customers(np.zeros(0, np.int32))
    return replace(nothing, customers=alone, indptr=np.zeros(2, np.int64))
