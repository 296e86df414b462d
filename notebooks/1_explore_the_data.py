# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1. Explore the data
#
# What the cleaned tables hold, how busy the shop is and when, how far visitors go, and which rows were refused.

# %%
from attune.session import get_session
from attune.show import shop
from attune.show.workspace import contents, find_workspace
from attune.tables import Tables

workspace = find_workspace("workspace")  # the environment variable ATTUNE_WORKSPACE wins
tables = Tables(workspace, get_session("attune notebooks"))

# %% [markdown]
# Every table is a Delta table in the folder `tables` of the workspace. `tables.read("events")` gives a Spark DataFrame.

# %%
contents(tables)

# %%
shop.plot_activity(shop.activity(tables))

# %% [markdown]
# ## How far visitors go
#
# Each bar is a stage on the way to a purchase, with the share of the stage before that gets so far.

# %%
shop.plot_funnel(shop.funnel(tables))

# %% [markdown]
# ## When to write to customers
#
# Mail that arrives just before the dark fields is read by people who are about to visit anyway.

# %%
shop.plot_visits(shop.visits_by_hour(tables))

# %% [markdown]
# ## Which items are known
#
# The steeper the curve, the more a list of the most popular items repeats what everybody has seen already.

# %%
shop.plot_popularity(shop.actions_by_item(tables))

# %% [markdown]
# ## What was refused
#
# No row is dropped in silence: table `quarantine` keeps each refused row with its file and its reasons.

# %%
shop.refused(tables).head(10)

# %% [markdown]
# ## Try next
#
# - A log of your own: `./spark-submit.sh pipeline --config online_retail --set inputs.root=FOLDER --dry-run`, and the inputs
#   in `conf/online_retail.yaml` to start from.
# - Longer visits: `./spark-submit.sh clean --set clean.session_gap_minutes=60`, then this notebook again.
