"""Settings of all tests."""

import hypothesis

# How long an example takes says nothing but how busy the machine is.
hypothesis.settings.register_profile('unhurried', deadline=None)
hypothesis.settings.load_profile('unhurried')
