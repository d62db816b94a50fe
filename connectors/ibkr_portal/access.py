"""How one gets at the Web API, in words: through a gateway that a person logs in to, or with requests that are signed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Access:
    """Who is asked, and what a person does where the answer is no."""

    who: str  # answers
    is_let_in: str
    is_not: str  # let in, whatever was said
    let_in: str  # what a person does about it
    brought_down: str  # and about a brokerage session that does not come up
    set_going: str  # and where nobody answers
    forbids: str
    allow: str
    address: str  # what the setting looks like


GATEWAY = Access(
    who="the gateway",
    is_let_in="somebody is logged in",
    is_not="Nobody is logged in at the gateway.",
    let_in="Log in to the gateway in a browser on its machine, with the second factor.",
    brought_down="Log out of the gateway in a browser and log in again; close TWS if it uses the same username.",
    set_going="Start it (bin/run.sh root/conf.yaml); the next run goes on by itself once somebody has logged in.",
    forbids="The gateway does not let this address call it.",
    allow="Add the address to ips.allow in the gateway's conf.yaml.",
    address="https://localhost:5000/v1/api",
)
SIGNED = Access(
    who="IBKR",
    is_let_in="IBKR takes the signed requests",
    is_not="IBKR does not take the requests signed with a live session token that was just agreed on.",
    let_in="Generate a new access token on IBKR's OAuth page, and store it with its secret.",
    brought_down="Close TWS and IBKR Mobile if they use the same username; else generate a new access token on IBKR's OAuth page.",
    set_going="See that this machine is online; the next run goes on by itself.",
    forbids="IBKR forbids the request.",
    allow="See that the account may use the Web API: it must be IBKR Pro, opened and funded.",
    address="https://api.ibkr.com/v1/api",
)
