"""Rules for k, one file a rule.

A rule is made from its options and bound to a run later; neither imports TensorFlow.
`CONTROLLERS` has all rules by name.
"""

from typing import TYPE_CHECKING

from tff_gs import _lazy

if TYPE_CHECKING:
    from tff_gs.controllers.amount import (
        Amount as Amount,
        parse_amount as parse_amount,
    )
    from tff_gs.controllers.continuous_bandit import (
        ContinuousBandit as ContinuousBandit,
    )
    from tff_gs.controllers.controller import (
        Controller as Controller,
        Decision as Decision,
        Feedback as Feedback,
    )
    from tff_gs.controllers.descent import (
        AdditiveDescent as AdditiveDescent,
        Descent as Descent,
        ElasticitySlope as ElasticitySlope,
        LogDescent as LogDescent,
        SignSlope as SignSlope,
        ValueSlope as ValueSlope,
    )
    from tff_gs.controllers.elasticity_descent import (
        ElasticityDescent as ElasticityDescent,
    )
    from tff_gs.controllers.exp3 import Exp3 as Exp3
    from tff_gs.controllers.fixed import FixedK as FixedK
    from tff_gs.controllers.interval import ShrinkingInterval as ShrinkingInterval
    from tff_gs.controllers.log_sign_descent import LogSignDescent as LogSignDescent
    from tff_gs.controllers.registry import CONTROLLERS as CONTROLLERS
    from tff_gs.controllers.replay import (
        Replay as Replay,
        ReplayFile as ReplayFile,
        read_sequence as read_sequence,
    )
    from tff_gs.controllers.schedule import Schedule as Schedule
    from tff_gs.controllers.sign_descent import (
        FixedIntervalSignDescent as FixedIntervalSignDescent,
        SignDescent as SignDescent,
    )
    from tff_gs.controllers.value_descent import ValueDescent as ValueDescent
    from tff_gs.controllers.waiting import Waiting as Waiting
else:
    __getattr__, __dir__, __all__ = _lazy.exports(__name__)
